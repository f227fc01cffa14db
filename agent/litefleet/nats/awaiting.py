"""What has been sent through one connection and waits for replies."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from nats.aio.msg import Msg

from litefleet.errors import NatsError
from litefleet.nats.causes import denied
from litefleet.nats.exchange import Exchange, Reply

if TYPE_CHECKING:
    from litefleet.nats.connection import Connection


class Awaiting(dict[str, Exchange]):
    """Exchanges by the token that their replies end with."""

    def __init__(self) -> None:
        super().__init__()
        self._tokens = map(str, itertools.count())

    def begin(self, connection: Connection, subject: str) -> tuple[str, Exchange]:
        """A new exchange and its token."""
        token = next(self._tokens)
        self[token] = Exchange(connection, token, subject)
        return token, self[token]

    def deliver(self, token: str, message: Msg) -> None:
        """A reply; one that nobody waits for is dropped."""
        exchange = self.get(token)
        if exchange is None:
            return
        headers = message.headers or {}
        status = headers.get("Status", "")
        exchange.deliver(
            Reply(
                message.data,
                headers,
                int(status) if re.fullmatch("[0-9]{3}", status) else 0,
                headers.get("Description", ""),
            )
        )

    def refuse(self, lowered: str, url: str) -> None:
        """The server does not permit to publish to a subject, which it writes in lower case."""
        # The exact subject is that of the message that waits.
        for token, exchange in list(self.items()):
            if exchange.subject.lower() == lowered:
                del self[token]
                exchange.deliver(denied("publish to", exchange.subject, url))

    def fail(self, error: NatsError) -> None:
        """No reply will come to any of them."""
        for exchange in list(self.values()):
            exchange.deliver(error)
        self.clear()
