"""Provisioning: a bucket is made once, changed in place, and never at the cost of what it holds."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import pytest

from litefleet.bucket.settings import BucketSettings, apply, read
from litefleet.config.settings import Credentials, Server
from litefleet.errors import BucketUnusable, ConfigError, NatsError, PermissionDenied
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from tests.support.buckets import content
from tests.support.natsserver import NatsServer, nats_cluster

PLAIN = BucketSettings("B")
FULL = BucketSettings("B", max_bytes=1 << 30, compression=True, description="of h1", max_age=3600.0)


@pytest.fixture
async def connection(server: NatsServer) -> AsyncIterator[Connection]:
    async with Connection.open(Server((server.url,))) as opened:
        yield opened


async def stream_config(server: NatsServer) -> dict[str, Any]:
    account = server.monitor("/jsz?accounts=true&streams=true&config=true")["account_details"][0]
    return dict(account["stream_detail"][0]["config"])


async def test_a_bucket_that_does_not_exist_has_no_settings(connection: Connection) -> None:
    assert await read(connection, "B") is None


@pytest.mark.parametrize("wanted", [PLAIN, FULL])
async def test_a_bucket_is_created_once(connection: Connection, wanted: BucketSettings) -> None:
    first = await apply(connection, wanted, check=False)
    assert (first.before, first.after, first.changed, first.created) == (None, wanted, True, True)
    assert await read(connection, "B") == wanted
    second = await apply(connection, wanted, check=False)
    assert (second.before, second.changed, second.created) == (wanted, False, False)


async def test_the_bucket_is_an_object_store(connection: Connection, server: NatsServer) -> None:
    await apply(connection, PLAIN, check=False)
    config = await stream_config(server)
    assert config["subjects"] == ["$O.B.C.>", "$O.B.M.>"]
    assert (config["discard"], config["allow_rollup_hdrs"], config["allow_direct"]) == ("new", True, True)
    client = await nats.connect(server.url)
    bucket = await client.jetstream().object_store("B")
    await bucket.put("x", b"abc")
    assert (await bucket.get("x")).data == b"abc"
    await client.close()


async def test_a_bucket_that_other_tools_made_is_left_as_it_is(connection: Connection, server: NatsServer) -> None:
    client = await nats.connect(server.url)
    await client.jetstream().create_object_store("B")
    await client.close()
    change = await apply(connection, PLAIN, check=False)
    assert not change.changed


@pytest.mark.parametrize(
    "wanted",
    [replace(PLAIN, description="new"), replace(PLAIN, compression=True), replace(PLAIN, max_bytes=50 << 20)],
)
async def test_settings_change_in_place_and_back(connection: Connection, wanted: BucketSettings) -> None:
    await apply(connection, PLAIN, check=False)
    store = ObjectStore(connection, "B")
    data = os.urandom(3_000_000)
    info = await store.put("x", data, headers={})
    for before, after in ((PLAIN, wanted), (wanted, PLAIN)):
        change = await apply(connection, after, check=False)
        assert (change.before, change.changed, change.created) == (before, True, False)
        assert await read(connection, "B") == after
        assert not (await apply(connection, after, check=False)).changed
    assert await content(store, info) == data


async def test_check_mode_changes_nothing(connection: Connection) -> None:
    assert (await apply(connection, PLAIN, check=True)).created
    assert await read(connection, "B") is None
    await apply(connection, PLAIN, check=False)
    assert (await apply(connection, FULL, check=True)).changed
    assert await read(connection, "B") == PLAIN


async def test_what_lacks_for_backups_is_added(connection: Connection) -> None:
    body = b'{"name":"OBJ_B","subjects":["$O.B.C.>","$O.B.M.>"],"storage":"file","metadata":{"owner":"somebody"}}'
    await connection.request("$JS.API.STREAM.CREATE.OBJ_B", body)
    with pytest.raises(BucketUnusable):
        await ObjectStore(connection, "B").check()
    assert (await apply(connection, PLAIN, check=False)).changed
    await ObjectStore(connection, "B").check()


LOSSES = {
    "storage": (replace(PLAIN, storage="memory"), "cannot be moved to `memory`"),
    "less room than is used": (replace(PLAIN, max_bytes=1 << 20), "more than the wanted `max_bytes` of 1048576"),
    "expiry": (replace(PLAIN, max_age=60.0), "would expire objects after 60 s"),
}


@pytest.mark.parametrize(("wanted", "words"), LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("check", [False, True])
async def test_a_change_that_costs_data_is_refused(
    connection: Connection, wanted: BucketSettings, words: str, check: bool
) -> None:
    await apply(connection, PLAIN, check=False)
    await ObjectStore(connection, "B").put("x", os.urandom(2 << 20), headers={})
    with pytest.raises(BucketUnusable, match=words):
        await apply(connection, wanted, check=check)
    assert await read(connection, "B") == PLAIN


NONSENSE = [
    replace(PLAIN, replicas=0),
    replace(PLAIN, replicas=7),
    replace(PLAIN, storage="tape"),
    replace(PLAIN, max_bytes=0),
    replace(PLAIN, max_age=-1.0),
    replace(PLAIN, name="a.b"),
]


@pytest.mark.parametrize("wanted", NONSENSE)
async def test_nonsense_is_refused_before_anything_is_asked(connection: Connection, wanted: BucketSettings) -> None:
    with pytest.raises(ConfigError):
        await apply(connection, wanted, check=False)


async def test_replicas_on_a_single_server_are_refused_in_the_servers_words(connection: Connection) -> None:
    with pytest.raises(NatsError, match="replicas > 1 not supported"):
        await apply(connection, replace(PLAIN, replicas=3), check=False)


async def test_an_agent_may_not_provision(server: NatsServer) -> None:
    agent = {"user": "agent", "password": "x", "permissions": {"publish": ["$JS.API.STREAM.INFO.OBJ_B"]}}
    server.reload({"authorization": {"users": [agent]}})
    async with Connection.open(Server((server.url,), Credentials(username="agent", password="x"))) as connection:
        with pytest.raises(PermissionDenied, match=r"`\$JS\.API\.STREAM\.CREATE\.OBJ_B`"):
            await apply(connection, PLAIN, check=False)


async def test_replicas_and_placement_change_in_place(tmp_path: Path) -> None:
    data = os.urandom(2 << 20)
    with nats_cluster({"server_tags": ["disk:fast"]}, tmp_path) as cluster:
        async with Connection.open(Server(cluster.urls)) as connection:
            await apply(connection, PLAIN, check=False)
            store = ObjectStore(connection, "B")
            info = await store.put("x", data, headers={})
            wide = replace(PLAIN, replicas=3, placement_tags=("disk:fast",))
            for wanted in (wide, PLAIN, wide):
                assert (await apply(connection, wanted, check=False)).changed
                assert await read(connection, "B") == wanted
                assert not (await apply(connection, wanted, check=False)).changed
            assert await content(store, info) == data
            with pytest.raises(NatsError, match="tags"):
                await apply(connection, replace(wide, placement_tags=("disk:none",)), check=False)
            assert await read(connection, "B") == wide
