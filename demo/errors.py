"""Why the demo stops."""

from __future__ import annotations

from pathlib import Path


class DemoError(Exception):
    """The text says what happened and where; ``log`` is the file that says more."""

    exit_code = 1

    def __init__(self, message: str, *, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class Unfit(DemoError):
    """This machine cannot run the demo as it is; the text says what to do."""

    exit_code = 2
