"""The agent as a long-running service."""

from __future__ import annotations

from litefleet.service.daemon import replicate_forever, replicate_once

__all__ = ["replicate_forever", "replicate_once"]
