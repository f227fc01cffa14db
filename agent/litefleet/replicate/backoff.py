"""Wait longer after each failure, and stop waiting at once when asked to."""

from __future__ import annotations

import asyncio
import contextlib
import random

_FIRST, _LONGEST = 0.25, 30.0


class Backoff:
    """Seconds to wait double from a quarter to 30, with a little chance so that a fleet does not knock in step."""

    def __init__(self) -> None:
        self._delay = _FIRST

    def reset(self) -> None:
        """After a success."""
        self._delay = _FIRST

    def next(self) -> float:
        """Seconds until the next attempt."""
        delay = self._delay * random.uniform(0.8, 1.2)  # noqa: S311  not for secrets
        self._delay = min(_LONGEST, self._delay * 2)
        return delay

    async def wait(self, stop: asyncio.Event) -> None:
        """Return after the delay, or when ``stop`` is set."""
        delay = self.next()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await stop.wait()
