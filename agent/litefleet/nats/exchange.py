"""A message that was sent, and the replies to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from litefleet.errors import NatsError

if TYPE_CHECKING:
    from litefleet.nats.connection import Connection


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply; ``status`` is that of the header line (204, 404, 503 …), 0 when there is none."""

    data: bytes
    headers: Mapping[str, str]
    status: int
    description: str


class Exchange:
    """One sent message; its replies arrive in order, a failure after them. Use as a context manager."""

    def __init__(self, connection: Connection, token: str, subject: str) -> None:
        self.subject = subject
        #: Called with every outcome when it arrives, before somebody takes it.
        self.on_arrival: Callable[[Reply | NatsError], None] | None = None
        #: How many bytes the connection has sent once all of this message is.
        self.end = 0
        self._connection = connection
        self._token = token
        self._replied = asyncio.Event()
        self._arrived: asyncio.Queue[Reply | NatsError] = asyncio.Queue()

    async def reply(self) -> Reply:
        """The next reply; waits as long as it takes, so bound it.

        Raises ``PermissionDenied`` when the server refused the message, ``ServerUnreachable`` when the connection
        was lost after it.
        """
        return self._checked(await self._arrived.get())

    def reply_now(self) -> Reply | None:
        """The next reply if it is there already; raises as ``reply`` does."""
        return None if self._arrived.empty() else self._checked(self._arrived.get_nowait())

    async def settled(self) -> None:
        """Until a reply or a failure has come, or nobody wants one."""
        await self._replied.wait()

    def deliver(self, outcome: Reply | NatsError) -> None:
        """For ``Connection``: a reply, or the reason why none will come."""
        self._replied.set()
        self._arrived.put_nowait(outcome)
        if self.on_arrival is not None:
            self.on_arrival(outcome)

    def close(self) -> None:
        """No reply is wanted any more."""
        self._replied.set()
        self._connection.forget(self._token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _checked(self, outcome: Reply | NatsError) -> Reply:
        if isinstance(outcome, NatsError):
            self._arrived.put_nowait(outcome)
            raise outcome
        return outcome
