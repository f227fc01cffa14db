"""Least privilege: the documented list is enough, and what lacks is named at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from litefleet.config.settings import Credentials, Server
from litefleet.errors import PermissionDenied
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectInfo, ObjectStore
from tests.support.buckets import bucket_store, content
from tests.support.natsserver import NatsServer, nats_server

PUBLISH = (
    "$JS.API.STREAM.INFO.OBJ_B",
    "$JS.API.DIRECT.GET.OBJ_B",
    "$JS.API.DIRECT.GET.OBJ_B.>",
    "$JS.API.STREAM.PURGE.OBJ_B",
    "$O.B.C.*",
    "$O.B.M.*",
)
SUBSCRIBE = ("_INBOX_agent.>",)
#: A denied request must not look like an outage: it is reported long before this many seconds have passed.
TIMEOUT = 60.0


def config(publish: tuple[str, ...] = PUBLISH, subscribe: tuple[str, ...] = SUBSCRIBE) -> dict[str, Any]:
    agent = {
        "user": "agent",
        "password": "agent",
        "permissions": {"publish": list(publish), "subscribe": list(subscribe)},
    }
    return {"authorization": {"users": [agent, {"user": "admin", "password": "admin"}]}}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(config(), tmp_path / "nats") as server:
        yield server


def as_user(server: NatsServer, user: str) -> Server:
    return Server(
        (server.url,), Credentials(username=user, password=user), timeout=TIMEOUT, inbox_prefix=f"_INBOX_{user}"
    )


async def everything(store: ObjectStore) -> None:
    """Each thing the agent does."""
    await store.check()
    info = await store.put("x", b"abc" * 1000, headers={}, replace=True)
    assert (await store.list()).objects[0].name == "x"
    assert await store.info("x") is not None
    assert await content(store, info) == b"abc" * 1000
    assert await store.read_head(info, 10) == b"abcabcabca"
    await store.sweep(older_than=0)
    await store.purge(info)


async def test_the_documented_permissions_are_enough(guarded: NatsServer) -> None:
    async with (
        bucket_store(as_user(guarded, "admin")),
        Connection.open(as_user(guarded, "agent")) as connection,
    ):
        await everything(ObjectStore(connection, "B"))
    assert "Violation" not in guarded.log()


# What is asked first of each; `DIRECT.GET.OBJ_B.>` is for other clients of the same user.
REFUSED = {
    "$JS.API.STREAM.INFO.OBJ_B": "$JS.API.STREAM.INFO.OBJ_B",
    "$JS.API.DIRECT.GET.OBJ_B": "$JS.API.DIRECT.GET.OBJ_B",
    "$JS.API.STREAM.PURGE.OBJ_B": "$JS.API.STREAM.PURGE.OBJ_B",
    "$O.B.C.*": r"$O.B.C.",
    "$O.B.M.*": "$O.B.M.eA==",
}


@pytest.mark.parametrize("missing", REFUSED)
async def test_a_missing_permission_is_named_at_once(guarded: NatsServer, missing: str) -> None:
    guarded.reload(config(tuple(subject for subject in PUBLISH if subject != missing)))
    async with (
        bucket_store(as_user(guarded, "admin")),
        Connection.open(as_user(guarded, "agent")) as connection,
        asyncio.timeout(TIMEOUT / 4),
    ):
        with pytest.raises(PermissionDenied) as refused:
            await everything(ObjectStore(connection, "B"))
    assert f"may not publish to `{REFUSED[missing]}" in refused.value.message


async def test_a_foreign_inbox_is_named_at_once(guarded: NatsServer) -> None:
    guarded.reload(config(subscribe=("_INBOX_somebody.>",)))
    async with Connection.open(as_user(guarded, "agent")) as connection, asyncio.timeout(TIMEOUT / 4):
        with pytest.raises(PermissionDenied, match=r"may not subscribe to `_INBOX_agent\."):
            await ObjectStore(connection, "B").check()
        # And it heals without a new connection once the right is there.
        guarded.reload(config())
        with pytest.raises(Exception, match="Bucket not found"):
            await ObjectStore(connection, "B").check()


async def test_a_permission_that_is_taken_away_is_noticed_in_the_middle(guarded: NatsServer) -> None:
    async with (
        bucket_store(as_user(guarded, "admin")) as admin,
        Connection.open(as_user(guarded, "agent")) as connection,
        asyncio.timeout(TIMEOUT / 4),
    ):
        store = ObjectStore(connection, "B")
        await store.put("x", b"1", headers={})
        await asyncio.to_thread(guarded.reload, config(tuple(s for s in PUBLISH if s != "$O.B.C.*")))
        with pytest.raises(PermissionDenied, match=r"may not publish to `\$O\.B\.C\."):
            await store.put("y", b"2", headers={})
        assert [info.name for info in (await admin.list()).objects] == ["x"]


async def test_a_reader_can_read_and_no_more(guarded: NatsServer) -> None:
    guarded.reload(config(tuple(subject for subject in PUBLISH if "DIRECT" in subject or "INFO" in subject)))
    async with (
        bucket_store(as_user(guarded, "admin")) as admin,
        Connection.open(as_user(guarded, "agent")) as connection,
    ):
        info: ObjectInfo = await admin.put("x", b"abc", headers={})
        reader = ObjectStore(connection, "B")
        assert await content(reader, info) == b"abc"
        with pytest.raises(PermissionDenied, match="PURGE"):
            await reader.purge(info)
