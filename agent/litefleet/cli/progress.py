"""One line on the terminal that says how far long work is, how fast, and when it will end."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from litefleet.cli.common import duration_text, size_text

_INTERVAL = 0.2


class Progress:
    """Call it with done and total bytes; it prints a few times a second, and nothing unless ``enabled``."""

    def __init__(self, what: str, *, enabled: bool) -> None:
        self._what = what
        self._enabled = enabled
        self._began = time.monotonic()
        self._next = self._began
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def __call__(self, done: int, total: int) -> None:
        """Report ``done`` of ``total`` bytes."""
        now = time.monotonic()
        if not self._enabled or now < self._next:
            return
        self._next = now + _INTERVAL
        self._shown = True
        rate = done / max(now - self._began, 1e-6)
        left = duration_text((total - done) / rate) if rate else "?"
        share = 100 * done // total if total else 100
        line = f"{self._what} {share}%  {size_text(done)} of {size_text(total)}  {size_text(rate)}/s  {left} left"
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
