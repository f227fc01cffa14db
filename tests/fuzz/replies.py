"""What a NATS server answers: headers and payloads off the wire, JetStream's JSON, and objects' metadata."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TypeVar

from nats.aio.msg import Msg

from litefleet.bucket.settings import BucketSettings, apply
from litefleet.bucket.settings import read as read_settings
from litefleet.config.settings import Server
from litefleet.errors import NatsError, ServerUnreachable
from litefleet.nats.batch import Batch
from litefleet.nats.connection import Connection
from litefleet.nats.exchange import Exchange, Reply
from litefleet.nats.inventory import stream_subjects
from litefleet.nats.jetstream import Names
from litefleet.nats.metadata import MetadataUnreadable, ObjectInfo, decode_digest, decode_metadata, encode_name
from litefleet.nats.metadata import parse_time as read_time
from litefleet.nats.objects import ObjectStore
from litefleet.nats.wire import WireClient
from tests.fuzz.target import Cut, text_of

NOW = datetime(2026, 11, 23, 8, 32, 22, tzinfo=UTC)
SERVER = Server(("nats://127.0.0.1:4222",))
MOST_MESSAGES = 8
_C = TypeVar("_C", bound=Connection)


def time(data: bytes) -> None:
    """A time of the server: in UTC, or no time."""
    text = text_of(data)
    if text is None:
        return
    try:
        found = read_time(text)
    except ValueError:
        return
    assert found.utcoffset() == timedelta(0)


def metadata(data: bytes) -> None:
    """The body of a metadata message, under the subject that fits its name and under another."""
    check(describe(data, token_of(data)))
    assert describe(data, "eA==") is None or b"x" in data


def describe(body: bytes, token: str) -> ObjectInfo | None:
    """The object, or None if it was refused by name."""
    try:
        return decode_metadata(body, token=token, modified=NOW, sequence=7)
    except MetadataUnreadable as error:
        assert len(str(error)) < 100
        return None


def check(info: ObjectInfo | None) -> None:
    """The rest of the program may rely on this."""
    if info is None:
        return
    assert info.name.encode()
    assert min(info.size, info.chunks) >= 0
    assert max(info.size, info.chunks).bit_length() <= 64
    assert info.deleted or info.nuid
    assert not set(info.nuid) & set(".*> \t\r\n")
    assert {type(text) for text in (*info.headers, *info.headers.values(), info.digest)} == {str}
    digest = decode_digest(info.digest)
    assert digest is None or len(digest) == 32


def token_of(body: bytes) -> str:
    """The last token of the subject that a server would have for it."""
    try:
        name = json.loads(body)["name"]
        return encode_name(name)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""


class Answering(Connection):
    """One whose server gives the same answer to every request."""

    # ruff: noqa: ARG002 -- the signature is Connection's
    answer = b""

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        return Reply(self.answer, {}, 0, "")


def answer(data: bytes) -> None:
    """The answer to a request of JetStream's API, whoever asks: something to work with, or an error of the tree."""
    _LOOP.run_until_complete(_answer(data))


async def _answer(data: bytes) -> None:
    names, connection = Names("B"), _answering()
    connection.answer = data
    for ask in (
        ObjectStore(connection, "B").check,
        partial(read_settings, connection, "B"),
        partial(apply, connection, BucketSettings("B"), check=True),
        partial(stream_subjects, connection, names, names.all_chunks),
    ):
        try:
            await ask()
        except NatsError as error:
            assert error.message


@cache
def _answering() -> Answering:
    return _prepared(Answering(SERVER, "fuzz"))


def batch(data: bytes) -> None:
    """The messages of one direct get: stored ones, then an end or an error of the tree."""
    _LOOP.run_until_complete(_batch(Cut(data)))


async def _batch(cut: Cut) -> None:
    connection = _connection()
    client = connection._client
    assert client is not None
    store = ObjectStore(connection, "B")
    exchange = Exchange(connection, "7", "$JS.API.DIRECT.GET.OBJ_B")
    connection._exchanges["7"] = exchange
    taken = Batch(exchange, connection, held=0)
    for _ in range(MOST_MESSAGES):
        head, payload = cut.piece(), cut.piece()
        try:
            headers = await client._process_headers(head)
        except Exception:  # noqa: BLE001 - nats-py's own reader ends here, and its link with it
            break
        await connection._on_message(Msg(client, f"{connection._inbox}7", "", payload, headers))
        if not cut.rest:
            break
    exchange.deliver(ServerUnreachable("The connection was lost"))
    try:
        for message in await taken.rest():
            assert message.sequence > 0
            info = store._decode(message)
            check(info)
    except NatsError as error:
        assert error.message
    else:
        assert taken.end is not None
        assert taken.end.pending >= 0
        assert taken.end.last_sequence >= 0
    finally:
        taken.close()


_LOOP = asyncio.new_event_loop()


@cache
def _connection() -> Connection:
    """One that has never reached its server."""
    return _prepared(Connection(SERVER, "fuzz"))


def _prepared(connection: _C) -> _C:
    connection._client = WireClient(None, lambda: None)
    connection._inbox = "_INBOX.fuzz."
    return connection
