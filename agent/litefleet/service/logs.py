"""One line per event on standard error, for people or for machines."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

from litefleet.config.settings import Logging


def configure(settings: Logging) -> None:
    """Set up the process's logging; call it once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.type == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    level = {"trace": "DEBUG"}.get(settings.level, settings.level.upper())
    logging.getLogger("litefleet").setLevel(level)


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__()
        # The journal has its own clock.
        self._stamped = "JOURNAL_STREAM" not in os.environ

    def format(self, record: logging.LogRecord) -> str:
        stamp = f"{_moment(record)} " if self._stamped else ""
        text = f"{stamp}{record.levelname} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
