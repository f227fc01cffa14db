"""Servers that die, hang, lag or are far away: every call ends, and what it says is true."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from litefleet.config.settings import Server
from litefleet.errors import NatsError, ObjectCorrupt, RequestFailed, ServerUnreachable
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectInfo, ObjectStore
from tests.support.buckets import bucket_store, content
from tests.support.natsserver import NatsServer
from tests.support.proxy import tcp_proxy


def quick(url: str, *, timeout: float = 10.0) -> Server:
    return Server((url,), timeout=timeout, reconnect_wait=0.05)


async def test_a_server_restarted_in_the_middle_of_a_put(server: NatsServer) -> None:
    data = os.urandom(20 << 20)

    async def restarted() -> AsyncIterator[bytes]:
        yield data[: 10 << 20]
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        yield data[10 << 20 :]

    async with bucket_store(quick(server.url)) as store:
        with pytest.raises((ServerUnreachable, RequestFailed)) as failed:
            await store.put("x", restarted(), headers={})
        assert failed.value.retryable
        assert (await store.list()).objects == ()
        info = await store.put("x", data, headers={})
        assert await content(store, info) == data
        await store.sweep(older_than=0)
        assert (await store.check()).messages == info.chunks + 1


async def test_a_server_restarted_in_the_middle_of_a_read(server: NatsServer) -> None:
    data = os.urandom(40 << 20)
    async with bucket_store(quick(server.url)) as store:
        info = await store.put("x", data, headers={})
        got = bytearray()
        async for chunk in store.read(info):
            got += chunk
            if len(got) - len(chunk) < 10 << 20 <= len(got):
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
        assert bytes(got) == data


async def test_a_read_goes_on_after_every_cut(server: NatsServer) -> None:
    data = os.urandom(30 << 20)
    async with bucket_store(quick(server.url)) as made, tcp_proxy(server.port) as proxy:
        info = await made.put("x", data, headers={})
        async with Connection.open(quick(proxy.url)) as connection:
            store, got = ObjectStore(connection, "B"), bytearray()
            proxy.cut_after(5 << 20)
            async for chunk in store.read(info):
                if len(got) >> 23 != (len(got) + len(chunk)) >> 23:
                    proxy.cut_after(1 << 20)
                got += chunk
            assert bytes(got) == data


async def test_a_lost_connection_ends_requests_at_once_and_is_made_again(server: NatsServer) -> None:
    async with tcp_proxy(server.port) as proxy, Connection.open(quick(proxy.url, timeout=60)) as connection:
        changes: asyncio.Queue[str] = asyncio.Queue()
        connection.on_state_change(lambda change: changes.put_nowait(change.state))
        async with asyncio.timeout(30):
            proxy.hang()
            sent = proxy.taken
            async with asyncio.TaskGroup() as tasks:
                request = tasks.create_task(outcome(connection.request("$JS.API.INFO")))
                await proxy.wait_taken(sent + 1)
                proxy.refuse()
            assert isinstance(request.result(), ServerUnreachable)
            assert await changes.get() == "disconnected"
            assert not connection.is_connected
            proxy.resume()
            proxy.accept()
            assert await changes.get() == "reconnected"
            assert (await connection.request("$JS.API.INFO")).data


async def outcome(call: Awaitable[object]) -> object:
    """The error of a call, or its result."""
    try:
        return await call
    except NatsError as error:
        return error


async def test_attempts_run_out_and_a_later_request_connects_anew(server: NatsServer) -> None:
    settings = Server((server.url,), max_reconnects=1, reconnect_wait=0.01)
    async with Connection.open(settings) as connection, asyncio.timeout(60):
        closed = asyncio.Event()
        connection.on_state_change(lambda change: closed.set() if change.state == "closed" else None)
        await asyncio.to_thread(server.kill)
        await closed.wait()
        with pytest.raises(ServerUnreachable, match="Connection refused"):
            await connection.request("$JS.API.INFO")
        await asyncio.to_thread(server.start)
        await asyncio.sleep(settings.reconnect_wait)
        assert (await connection.request("$JS.API.INFO")).data


async def test_without_reconnects_the_connection_ends(server: NatsServer) -> None:
    async with Connection.open(Server((server.url,), max_reconnects=0)) as connection, asyncio.timeout(30):
        closed = asyncio.Event()
        connection.on_state_change(lambda change: closed.set() if change.state == "closed" else None)
        await asyncio.to_thread(server.kill)
        await closed.wait()


OPERATIONS: dict[str, Callable[[ObjectStore, ObjectInfo], Awaitable[object]]] = {
    "check": lambda store, _: store.check(),
    "list": lambda store, _: store.list(),
    "info": lambda store, _: store.info("x"),
    "put": lambda store, _: store.put("y", os.urandom(40 << 20), headers={}),
    "read": content,
    "purge": lambda store, info: store.purge(info),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_hanging_server_ends_every_operation(server: NatsServer, operation: str) -> None:
    async with bucket_store(quick(server.url)) as made, tcp_proxy(server.port) as proxy:
        info = await made.put("x", os.urandom(3 << 20), headers={})
        async with Connection.open(quick(proxy.url, timeout=0.4)) as connection:
            store = ObjectStore(connection, "B")
            proxy.hang()
            async with asyncio.timeout(60):
                assert isinstance(await outcome(OPERATIONS[operation](store, info)), RequestFailed | ServerUnreachable)
            proxy.resume()
        names = [one.name for one in (await made.list()).objects]
        assert names == ["x"] or operation == "purge"  # which arrives late, but arrives


async def test_a_connection_that_fell_silent_is_made_anew(server: NatsServer) -> None:
    async with tcp_proxy(server.port) as proxy, Connection.open(quick(proxy.url, timeout=0.3)) as connection:
        disconnected = asyncio.Event()
        connection.on_state_change(lambda change: disconnected.set() if change.state == "disconnected" else None)
        await connection.request("$JS.API.INFO", timeout=10)
        proxy.hang()
        async with asyncio.timeout(30):
            for _ in range(2):
                with pytest.raises(RequestFailed, match=r"No answer from .* within 0.3 s"):
                    await connection.request("$JS.API.INFO")
            await disconnected.wait()
            proxy.resume()
            await connection.wait_connected(10)
            assert (await connection.request("$JS.API.INFO", timeout=10)).data


async def test_a_slow_link_carries_objects_that_take_longer_than_the_timeout(server: NatsServer) -> None:
    data = os.urandom(20 << 20)
    async with tcp_proxy(server.port, rate=4e6) as proxy, bucket_store(quick(proxy.url, timeout=1)) as store:
        half = await store.put("half", data[: 10 << 20], headers={})
        assert await content(store, half) == data[: 10 << 20]
        async with Connection.open(quick(server.url)) as fast:
            info = await ObjectStore(fast, "B").put("x", data, headers={})
        assert await content(store, info) == data


async def test_a_very_slow_link_carries_a_chunk_that_takes_longer_than_the_timeout(server: NatsServer) -> None:
    data = os.urandom(1 << 20)
    async with tcp_proxy(server.port, rate=300e3) as proxy, bucket_store(quick(proxy.url, timeout=2.5)) as store:
        info = await store.put("x", data, headers={})
        assert await content(store, info) == data


async def test_many_readers_share_one_connection(server: NatsServer) -> None:
    data = os.urandom(12 << 20)
    async with bucket_store(quick(server.url)) as store:
        info = await store.put("x", data, headers={})
        async with asyncio.TaskGroup() as tasks:
            reads = [tasks.create_task(content(store, info)) for _ in range(12)]
        assert all(read.result() == data for read in reads)


async def test_readers_that_wait_for_each_other_do_not_block(server: NatsServer) -> None:
    """As a merge of many files does: each is read a little, in turn."""
    data = os.urandom(10 << 20)
    async with bucket_store(quick(server.url)) as store:
        info = await store.put("x", data, headers={})
        readers = [store.read(info) for _ in range(20)]
        got = [bytearray() for _ in readers]
        async with asyncio.timeout(60):
            for _ in range(info.chunks):
                for reader, have in zip(readers, got, strict=True):
                    have.extend(await anext(reader))
        assert all(bytes(have) == data for have in got)
        for reader in readers:
            with pytest.raises(StopAsyncIteration):
                await anext(reader)


async def test_an_abandoned_read_gives_its_bytes_back(server: NatsServer) -> None:
    async with bucket_store(quick(server.url)) as store:
        info = await store.put("x", os.urandom(30 << 20), headers={})
        async with asyncio.timeout(60):
            for _ in range(20):
                reader = store.read(info)
                await anext(reader)
                await reader.aclose()  # type: ignore[attr-defined]
            assert len(await content(store, info)) == 30 << 20


async def test_chunks_that_vanish_during_a_read_end_it(server: NatsServer) -> None:
    async with bucket_store(quick(server.url)) as store:
        info = await store.put("x", os.urandom(60 << 20), headers={})
        with pytest.raises(ObjectCorrupt, match="of its 61 chunks exist"):
            await asyncio.wait_for(purged_while_read(store, info), 30)


async def purged_while_read(store: ObjectStore, info: ObjectInfo) -> None:
    async for _ in store.read(info):
        await store.purge(info)
