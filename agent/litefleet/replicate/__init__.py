"""From one live database to its bucket: capture, upload, checkpoint; then compact and retain what is there."""

from __future__ import annotations

from litefleet.replicate.ledger import Ledger
from litefleet.replicate.maintainer import Maintainer
from litefleet.replicate.replicator import DatabaseReplicator

__all__ = ["DatabaseReplicator", "Ledger", "Maintainer"]
