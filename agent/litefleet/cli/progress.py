"""One line on the terminal that says how far long work is, how fast, and when it will end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from litefleet.cli.common import duration_text, size_text

_INTERVAL = 0.2


class Progress:
    """Call it with done and total bytes, or what ``amount`` prints; a few times a second it prints, if ``enabled``."""

    def __init__(self, what: str, *, enabled: bool, amount: Callable[[float], str] = size_text) -> None:
        self._what = what
        self._amount = amount
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
        amounts = f"{self._amount(done)} of {self._amount(total)}  {self._amount(rate)}/s"
        line = f"{self._what} {share}%  {amounts}  {left} left"
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
