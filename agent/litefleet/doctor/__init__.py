"""Look for what keeps a database from being backed up: one finding per check, each with what to do."""

from litefleet.doctor.finding import ORDER as ORDER
from litefleet.doctor.finding import Finding as Finding
from litefleet.doctor.finding import by_gravity as by_gravity
from litefleet.doctor.run import check_file as check_file
