"""Figures as JSON, for the control socket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litefleet.replicate.figures import Figures


def describe(figures: Figures, now: float) -> dict[str, Any]:
    """All of them; TXIDs as ``litefleet ltx`` prints them, moments as RFC 3339, null for what has not happened yet."""
    return {
        "path": str(figures.path),
        "replica": figures.replica,
        "state": figures.state,
        "problem": figures.problem,
        "wal_alarm": figures.wal_alarm,
        "captured_txid": txid_text(figures.captured_txid),
        "acknowledged_txid": txid_text(figures.acknowledged_txid),
        "acknowledged_at": moment_text(figures.acknowledged_at),
        "pending": bool(figures.pending_since),
        "pending_since": moment_text(figures.pending_since),
        "lag": round(figures.lag(now), 3),
        "db_bytes": figures.db_bytes,
        "wal_bytes": figures.wal_bytes,
        "spool_bytes": figures.spool_bytes,
        "spool_files": figures.spool_files,
        "open": figures.open,
        "levels": {str(number): {"objects": at.objects, "bytes": at.bytes} for number, at in figures.levels.items()},
        "errors": dict(figures.errors),
        "done": dict(figures.done),
    }


def txid_text(txid: int) -> str | None:
    """Sixteen hexadecimal digits."""
    return f"{txid:016x}" if txid else None


def moment_text(seconds: float) -> str | None:
    """Unix seconds as RFC 3339 in UTC, to the millisecond."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def minute_text(seconds: float) -> str:
    """Unix seconds for people, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
