"""litefleet for Python programs: replicate a program's databases while it runs, and restore them.

Applications import these names from ``litefleet`` itself.
"""

from __future__ import annotations

from litefleet.api.replicator import BlockingReplica, Replica, Replicator, Status, replicating
from litefleet.api.restoring import Restored, restore

__all__ = ["BlockingReplica", "Replica", "Replicator", "Restored", "Status", "replicating", "restore"]
