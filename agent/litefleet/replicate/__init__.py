"""From one live database to its bucket: capture, upload, checkpoint."""

from __future__ import annotations

from litefleet.replicate.replicator import DatabaseReplicator

__all__ = ["DatabaseReplicator"]
