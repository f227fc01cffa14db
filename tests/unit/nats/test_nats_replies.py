"""Replies that no server sends end in an error of the tree, or are nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from nats.aio.msg import Msg

from litefleet.config.settings import Server
from litefleet.errors import RequestFailed
from litefleet.nats.batch import Batch
from litefleet.nats.connection import Connection
from litefleet.nats.exchange import Exchange, Reply
from litefleet.nats.jetstream import Names, parse, server_time
from litefleet.nats.wire import WireClient

SUBJECT = "$JS.API.DIRECT.GET.OBJ_B"


def unconnected() -> Connection:
    connection = Connection(Server(("nats://127.0.0.1:4222",)), "test")
    connection._client = WireClient(None, lambda: None)
    return connection


@pytest.mark.parametrize("answer", [b"", b"nothing", b"[]", b"1" * 5000, b"[" * 100_000, b"\xff\xfe"])
async def test_an_answer_that_is_no_json_object_is_a_failed_request(answer: bytes) -> None:
    with pytest.raises(RequestFailed, match="something else than JetStream's answer"):
        parse(Reply(answer, {}, 0, ""), Names("B"), unconnected())


@pytest.mark.parametrize(
    "answer",
    [
        {"config": []},
        {"config": None},
        {"config": {"max_bytes": "1"}},
        {"config": {"max_age": 1.5}},
        {"config": {"num_replicas": True}},
        {"config": {"placement": {"tags": 1}}},
        {"state": {"last_seq": -5}},
        {"state": {"bytes": 1 << 64}},
        {"state": {"subjects": {"$O.B.C.x": "1"}}},
        {"cluster": {"replicas": 3}},
        {"ts": 5},
    ],
)
async def test_an_answer_with_parts_of_another_kind_is_a_failed_request(answer: dict[str, Any]) -> None:
    with pytest.raises(RequestFailed, match="something else than JetStream's answer"):
        parse(Reply(json.dumps(answer).encode(), {}, 0, ""), Names("B"), unconnected())


@pytest.mark.parametrize("answer", [{}, {"ts": ""}, {"ts": "now"}, {"ts": "0001-01-01T00:00:00+14:00"}])
async def test_an_answer_without_a_time_is_a_failed_request(answer: dict[str, Any]) -> None:
    with pytest.raises(RequestFailed, match="without a time"):
        server_time(answer, unconnected())


@pytest.mark.parametrize("number", ["²", "٣", "1" * 5000, "-1", "1.0", "0x1", ""])
async def test_a_sequence_that_is_no_number_is_a_failed_request(number: str) -> None:
    connection = unconnected()
    exchange = Exchange(connection, "1", SUBJECT)
    exchange.deliver(Reply(b"", {"Nats-Sequence": number}, 0, ""))
    with Batch(exchange, connection, held=0) as batch, pytest.raises(RequestFailed, match="unknown kind of message"):
        await batch.next()


@pytest.mark.parametrize("status", ["²²²", "٣٣٣", "1" * 5000, "20", "x"])
async def test_a_status_that_is_no_number_is_none(status: str) -> None:
    connection = unconnected()
    exchange = Exchange(connection, "1", SUBJECT)
    connection._exchanges["1"] = exchange
    assert connection._client is not None
    await connection._on_message(Msg(connection._client, f"{connection._inbox}1", "", b"", {"Status": status}))
    async with asyncio.timeout(5):
        assert (await exchange.reply()).status == 0
