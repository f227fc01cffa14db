"""Look for what keeps a database from being backed up, one finding per check."""

from litefleet.doctor.finding import Finding as Finding
from litefleet.doctor.local import check_database as check_database
from litefleet.doctor.remote import check_bucket as check_bucket
from litefleet.doctor.remote import check_server as check_server
