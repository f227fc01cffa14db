"""From a bucket to a database file: plan, fetch, apply, check, put in place."""

from __future__ import annotations

from litefleet.bucket.plan import Plan, plan
from litefleet.restore.run import Restored, restore

__all__ = ["Plan", "Restored", "plan", "restore"]
