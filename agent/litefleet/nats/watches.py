"""Subjects that a connection listens to for as long as it lives, over all reconnects."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg

log = logging.getLogger("litefleet.nats")

#: Gets subject and data of a message; must not block.
Callback = Callable[[str, bytes], None]


class Watches:
    """The watches of one connection."""

    def __init__(self) -> None:
        self._callbacks: dict[str, Callback] = {}
        self._refused: set[str] = set()

    async def add(self, client: Client | None, subject: str, callback: Callback) -> None:
        """Listen from now on, or from the next ``begin`` on where there is no client yet."""
        self._callbacks[subject] = callback
        if client is not None:
            await _subscribe(client, subject, callback)

    async def begin(self, client: Client) -> None:
        """Listen through a new client."""
        self._refused.clear()
        for subject, callback in self._callbacks.items():
            await _subscribe(client, subject, callback)

    def refuse(self, lowered: str) -> None:
        """The server does not permit one of them; it writes subjects in lower case."""
        if lowered in {subject.lower() for subject in self._callbacks}:
            self._refused.add(lowered)
            log.info("not permitted to subscribe to %s", lowered)

    def works(self, subject: str) -> bool:
        """Whether it was added, and not refused."""
        return subject in self._callbacks and subject.lower() not in self._refused


async def _subscribe(client: Client, subject: str, callback: Callback) -> None:
    async def deliver(message: Msg) -> None:
        callback(message.subject, message.data)

    await client.subscribe(subject, cb=deliver, pending_msgs_limit=0, pending_bytes_limit=0)
