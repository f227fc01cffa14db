"""Signs of life for systemd's watchdog, and the line that ``systemctl status`` shows."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from litefleet.replicate.figures import Figures, State
from litefleet.service.describe import minute_text
from litefleet.service.interface import FleetLike, path_text
from litefleet.service.notify import SIGN_OF_LIFE, listened_to, notify, watchdog_interval

#: Seconds between two looks at the figures.
_STATUS = 5.0
_UNWELL = ("failed", "outage")
_LONGEST_PROBLEM = 200


async def watchdog(fleet: FleetLike) -> None:
    """Until cancelled; ends at once if nobody listens.

    It belongs into the task group of the fleet: the signs of life end when that ends, or when the loop hangs.
    """
    if not listened_to():
        return
    wanted = watchdog_interval()
    pause = min(wanted / 2, _STATUS) if wanted else _STATUS
    line = StatusLine()
    said, look = "", 0.0
    while True:
        now = time.monotonic()
        if now >= look:
            look = now + _STATUS
            text = line.text(fleet.figures(), time.time())
            if text != said:
                notify(f"STATUS={text}")
                said = text
        # Without one to give, what could not be said before is said now.
        notify(*([SIGN_OF_LIFE] if wanted else []))
        await asyncio.sleep(pause)


class StatusLine:
    """One line about all databases; it knows since when one is not well."""

    def __init__(self) -> None:
        self._since: dict[Path, float] = {}

    def text(self, figures: Sequence[Figures], now: float) -> str:
        """Such as ``3 databases: 2 replicating, 1 outage since 2026-11-25 03:04 UTC (/data/app.db: no answer)``.

        It changes only when something does: systemd is told no more than that.
        """
        unwell = [one for one in figures if one.state in _UNWELL]
        self._since = {one.path: self._since.get(one.path, now) for one in unwell}
        counts = Counter(one.state for one in figures)
        parts = [f"{counts[state]} {state}{self._detail(state, unwell)}" for state in _ORDER if counts[state]]
        count = f"{len(figures)} database{'' if len(figures) == 1 else 's'}"
        return f"{count}: {', '.join(parts)}" if parts else count

    def _detail(self, state: State, unwell: Sequence[Figures]) -> str:
        """The one that has been so for the longest time."""
        first = min((one for one in unwell if one.state == state), key=lambda one: self._since[one.path], default=None)
        if first is None:
            return ""
        problem = " ".join(first.problem.split())[:_LONGEST_PROBLEM]
        reason = f": {problem}" if problem else ""
        return f" since {minute_text(self._since[first.path])} ({path_text(first.path)}{reason})"


_ORDER: tuple[State, ...] = ("replicating", *(state for state in get_args(State) if state != "replicating"))
