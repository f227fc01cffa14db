"""Every option of the guide's table, by what it does: the right value works, a wrong one says what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import nkeys
import pytest

from litefleet.config import Replica, load
from litefleet.config.settings import Credentials, Server
from litefleet.errors import (
    AuthenticationFailed,
    BucketNotFound,
    ConfigError,
    NatsError,
    RequestFailed,
    ServerUnreachable,
    TLSFailed,
)
from litefleet.nats.connection import Connection, StateChange
from litefleet.nats.objects import ObjectStore
from tests.support.authority import Authority
from tests.support.buckets import bucket_store
from tests.support.natsserver import NatsServer, free_ports, nats_server
from tests.support.operator import Key, Operator
from tests.support.proxy import Proxy, tcp_proxy

#: The first column of the table.
OPTIONS = """
url bucket username password token nkey jwt seed creds tls root-cas client-cert client-key max-reconnects reconnect-wait
timeout
"""


def test_every_option_of_the_table_has_a_test_here() -> None:
    for option in OPTIONS.split():
        assert any(name.startswith(f"test_{option.replace('-', '_')}_") for name in globals()), option


def configured(directory: Path, url: str, *lines: str, bucket: str = "B") -> Replica:
    """The replica of a file in the guide's layout; ``lines`` are its options besides `url` and `bucket`."""
    file = directory / "litefleet.yml"
    head = ["dbs:", "  - path: /data/app.db", "    replica:", "      type: nats", f"      url: {url}"]
    file.write_text("\n".join([*head, f"      bucket: {bucket}", *(f"      {line}" for line in lines)]))
    (database,) = load(file).databases
    return database.replica


async def reached(replica: Replica) -> str:
    """The URL of the server that answers, asked for more than a connection."""
    async with Connection.open(replica.server) as connection:
        await connection.request("$JS.API.INFO")
        return connection.connected_url


async def failure(replica: Replica) -> NatsError:
    """The error of a server that cannot be reached with these options."""
    with pytest.raises(NatsError) as caught:
        await reached(replica)
    return caught.value


# Where


async def test_url_chooses_the_server(server: NatsServer, tmp_path: Path) -> None:
    async with nats_server(store_dir=tmp_path / "other") as other:
        assert await reached(configured(tmp_path, server.url)) == server.url
        assert await reached(configured(tmp_path, other.url)) == other.url
    error = await failure(configured(tmp_path, other.url))
    assert isinstance(error, ServerUnreachable)
    assert error.message == f"Cannot connect to {other.url}: Connection refused"


async def test_url_may_list_the_servers_of_a_cluster(server: NatsServer, tmp_path: Path) -> None:
    dead = [f"nats://127.0.0.1:{port}" for port in free_ports(2)]
    assert await reached(configured(tmp_path, ",".join([*dead, server.url]))) == server.url
    assert await reached(configured(tmp_path, ",".join([server.url, *dead]))) == server.url
    error = await failure(configured(tmp_path, ",".join(dead)))
    assert all(url in error.message for url in dead)


async def test_bucket_is_where_objects_go(server: NatsServer, tmp_path: Path) -> None:
    async with bucket_store(Server((server.url,)), "one"), bucket_store(Server((server.url,)), "two"):
        found = {}
        for bucket in ("one", "two"):
            replica = configured(tmp_path, server.url, bucket=bucket)
            async with Connection.open(replica.server) as connection:
                store = ObjectStore(connection, replica.bucket, replica.path)
                await store.put(f"of-{bucket}", b"data", headers={})
                found[bucket] = [info.name for info in (await store.list()).objects]
    assert found == {"one": ["of-one"], "two": ["of-two"]}


async def test_bucket_that_does_not_exist_is_named(server: NatsServer, tmp_path: Path) -> None:
    replica = configured(tmp_path, server.url, bucket="nowhere")
    async with Connection.open(replica.server) as connection:
        with pytest.raises(BucketNotFound, match=f"Bucket not found: `nowhere` on {server.url}"):
            await ObjectStore(connection, replica.bucket, replica.path).check()


# Who


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that starts with a password."""
    with nats_server({"authorization": {"user": "agent", "password": "right"}}, tmp_path / "nats") as running:
        yield running


async def test_username_is_half_of_a_login(locked: NatsServer, tmp_path: Path) -> None:
    assert await reached(configured(tmp_path, locked.url, "username: agent", "password: right")) == locked.url
    error = await failure(configured(tmp_path, locked.url, "username: somebody", "password: right"))
    assert isinstance(error, AuthenticationFailed)
    assert error.message == f"Authorization violation: {locked.url} refuses the password of user `somebody`"


async def test_password_is_the_other_half(locked: NatsServer, tmp_path: Path) -> None:
    error = await failure(configured(tmp_path, locked.url, "username: agent", "password: wr0ng"))
    assert isinstance(error, AuthenticationFailed)
    assert error.hint == "check `username` and `password`"
    assert "wr0ng" not in str(error)
    nobody = await failure(configured(tmp_path, locked.url))
    assert "refuses a client without credentials" in nobody.message


async def test_token_is_a_login(locked: NatsServer, tmp_path: Path) -> None:
    await asyncio.to_thread(locked.reload, {"authorization": {"token": "t0ken"}})
    assert await reached(configured(tmp_path, locked.url, "token: t0ken")) == locked.url
    error = await failure(configured(tmp_path, locked.url, "token: 0ther"))
    assert isinstance(error, AuthenticationFailed)
    assert error.message.endswith("refuses the token")
    assert "0ther" not in str(error)


async def test_nkey_is_a_login(locked: NatsServer, tmp_path: Path) -> None:
    key, stranger = Key(nkeys.PREFIX_BYTE_USER), Key(nkeys.PREFIX_BYTE_USER)
    await asyncio.to_thread(locked.reload, {"authorization": {"users": [{"nkey": key.public}]}})
    assert await reached(configured(tmp_path, locked.url, f"nkey: {key.seed}")) == locked.url
    error = await failure(configured(tmp_path, locked.url, f"nkey: {stranger.seed}"))
    assert isinstance(error, AuthenticationFailed)
    assert error.message.endswith("refuses the nkey")
    assert stranger.seed not in str(error)


@pytest.fixture
def operator() -> Operator:
    return Operator()


@pytest.fixture
def operated(operator: Operator, tmp_path: Path) -> Iterator[NatsServer]:
    """A server with decentralized logins."""
    with nats_server(operator.config(), tmp_path / "nats") as running:
        yield running


async def test_jwt_is_a_login(operated: NatsServer, operator: Operator, tmp_path: Path) -> None:
    user, stranger = operator.user(), Operator().user()
    assert await reached(configured(tmp_path, operated.url, f"jwt: {user.jwt}", f"seed: {user.seed}")) == operated.url
    error = await failure(configured(tmp_path, operated.url, f"jwt: {stranger.jwt}", f"seed: {stranger.seed}"))
    assert isinstance(error, AuthenticationFailed)
    assert error.message == f"Authorization violation: {operated.url} refuses the JWT"
    assert "`jwt` is of a user of this server's operator" in error.hint
    assert stranger.jwt not in str(error)


async def test_jwt_that_has_expired_is_refused_as_such(
    operated: NatsServer, operator: Operator, tmp_path: Path
) -> None:
    user = operator.user(expires=-60)
    error = await failure(configured(tmp_path, operated.url, f"jwt: {user.jwt}", f"seed: {user.seed}"))
    assert isinstance(error, AuthenticationFailed)
    assert "(the JWT)" in error.message or "refuses the JWT" in error.message


async def test_seed_signs_for_the_jwt(operated: NatsServer, operator: Operator, tmp_path: Path) -> None:
    user, other = operator.user(), operator.user()
    with pytest.raises(ConfigError, match="is not about the user whose seed `seed` is"):
        configured(tmp_path, operated.url, f"jwt: {user.jwt}", f"seed: {other.seed}")
    # And the server, were it asked, does not take another user's signature.
    error = await failure(Replica(Server((operated.url,), Credentials(jwt=user.jwt, seed=other.seed)), "B"))
    assert isinstance(error, AuthenticationFailed)
    assert other.seed not in str(error)


async def test_creds_are_a_login_in_a_file(operated: NatsServer, operator: Operator, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.creds", tmp_path / "bad.creds"
    good.write_text(operator.creds()[0])
    bad.write_text(Operator().creds()[0])
    assert await reached(configured(tmp_path, operated.url, f"creds: {good}")) == operated.url
    error = await failure(configured(tmp_path, operated.url, f"creds: {bad}"))
    assert isinstance(error, AuthenticationFailed)
    assert error.message.endswith(f"refuses the credentials file `{bad}`")
    with pytest.raises(ConfigError, match=f"creds: {tmp_path}/none.creds: does not exist"):
        configured(tmp_path, operated.url, f"creds: {tmp_path}/none.creds")


# Over TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path)


def tls_versions(server: NatsServer) -> list[str | None]:
    """What the connections of a server are encrypted with, if they are."""
    return [connection.get("tls_version") for connection in server.monitor("/connz")["connections"]]


async def test_tls_encrypts_what_could_go_in_the_clear(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))  # the CAs of the operating system, for OpenSSL
    config = {"tls": authority.server_tls(), "allow_non_tls": True}
    async with nats_server(config, tmp_path / "nats") as server:
        for line, versions in (("tls: true", ["1.3"]), ("tls: false", [None])):
            async with Connection.open(configured(tmp_path, server.url, line).server):
                assert await asyncio.to_thread(tls_versions, server) == versions


async def test_tls_is_never_given_up_for_a_server_without_it(server: NatsServer, tmp_path: Path) -> None:
    assert await reached(configured(tmp_path, server.url, "tls: false")) == server.url
    error = await failure(configured(tmp_path, server.url, "tls: true"))
    assert isinstance(error, TLSFailed)
    assert "does not encrypt although `tls` is set; nothing was sent to it" in error.message


async def test_root_cas_are_who_is_trusted(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path, "other")
    async with nats_server({"tls": authority.server_tls()}, tmp_path / "nats") as server:
        for cas in ([authority], [other, authority]):
            lines = ["tls: true", "root-cas:", *(f"  - {one.file}" for one in cas)]
            assert await reached(configured(tmp_path, server.url, *lines)) == server.url
        error = await failure(configured(tmp_path, server.url, "tls: true", "root-cas:", f"  - {other.file}"))
        assert isinstance(error, TLSFailed)
        assert "the server's certificate is not trusted" in error.message
        assert str(other.file) in error.hint
        nobody = await failure(configured(tmp_path, server.url, "tls: true"))
        assert "only the CAs of the operating system are trusted" in nobody.hint


def mutual(authority: Authority, cert: Path, key: Path) -> list[str]:
    """The guide's lines for mutual TLS."""
    return ["tls: true", "root-cas:", f"  - {authority.file}", f"client-cert: {cert}", f"client-key: {key}"]


async def test_client_cert_is_shown_to_a_server_that_asks(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("agent", "agent")
    stranger = Authority.create(tmp_path, "other").issue("stranger", "agent")
    async with nats_server({"tls": authority.mutual_tls()}, tmp_path / "nats") as server:
        assert await reached(configured(tmp_path, server.url, *mutual(authority, cert, key))) == server.url
        error = await failure(configured(tmp_path, server.url, "tls: true", "root-cas:", f"  - {authority.file}"))
        assert isinstance(error, TLSFailed)
        assert error.hint == "set `client-cert` and `client-key`"
        error = await failure(configured(tmp_path, server.url, *mutual(authority, *stranger)))
        assert isinstance(error, TLSFailed)
        assert f"the client certificate `{stranger[0]}`" in error.message


async def test_client_key_has_to_be_that_of_the_certificate(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("agent", "agent")
    _, other = authority.issue("other", "agent")
    replica = configured(tmp_path, "nats://127.0.0.1:1", *mutual(authority, cert, key))
    with pytest.raises(ConfigError, match=f"client-key: {other}: is not the key of the certificate in {cert}"):
        configured(tmp_path, "nats://127.0.0.1:1", *mutual(authority, cert, other))
    key.write_bytes(other.read_bytes())  # replaced after the file was read
    error = await failure(replica)
    assert isinstance(error, TLSFailed)
    assert error.message == f"The key `{key}` is not that of the client certificate `{cert}`"


# For how long


async def closed_after_outage(proxy: Proxy, replica: Replica) -> StateChange:
    """How the connection ends when its server drops it and lets nobody in again."""
    closed: asyncio.Queue[StateChange] = asyncio.Queue()
    async with Connection.open(replica.server) as connection, asyncio.timeout(60):
        connection.on_state_change(lambda change: closed.put_nowait(change) if change.state == "closed" else None)
        proxy.refuse()
        return await closed.get()


@pytest.mark.parametrize(
    ("lines", "attempts"),
    [(["max-reconnects: 0"], 0), (["max-reconnects: 1"], 1), (["max-reconnects: 7"], 7), ([], 60)],
    ids=["none", "one", "seven", "default"],
)
async def test_max_reconnects_is_the_number_of_attempts(
    server: NatsServer, tmp_path: Path, lines: list[str], attempts: int
) -> None:
    async with tcp_proxy(server.port) as proxy:
        change = await closed_after_outage(proxy, configured(tmp_path, proxy.url, "reconnect-wait: 1ms", *lines))
        assert proxy.connections == 1 + attempts
    assert isinstance(change.error, ServerUnreachable)


async def test_max_reconnects_counts_each_outage_for_itself(server: NatsServer, tmp_path: Path) -> None:
    """A server that was down during many short outages is still there for the next."""
    async with tcp_proxy(server.port) as up, tcp_proxy(server.port) as down, asyncio.timeout(60):
        replica = configured(tmp_path, f"{up.url},{down.url}", "reconnect-wait: 1ms", "max-reconnects: 2")
        down.refuse()
        states: asyncio.Queue[str] = asyncio.Queue()
        async with Connection.open(replica.server) as connection:
            connection.on_state_change(lambda change: states.put_nowait(change.state))
            for _ in range(12):
                up.cut()
                assert [await states.get(), await states.get()] == ["disconnected", "reconnected"]
            down.accept()
            up.refuse()
            assert [await states.get(), await states.get()] == ["disconnected", "reconnected"]
            assert connection.connected_url == down.url


async def test_max_reconnects_of_minus_one_is_without_end(server: NatsServer, tmp_path: Path) -> None:
    async with tcp_proxy(server.port) as proxy:
        replica = configured(tmp_path, proxy.url, "max-reconnects: -1", "reconnect-wait: 1ms")
        states: asyncio.Queue[str] = asyncio.Queue()
        async with Connection.open(replica.server) as connection, asyncio.timeout(60):
            connection.on_state_change(lambda change: states.put_nowait(change.state))
            proxy.refuse()
            await proxy.wait_connections(100)
            proxy.accept()
            assert [await states.get(), await states.get()] == ["disconnected", "reconnected"]


async def test_reconnect_wait_is_the_pause_between_attempts(server: NatsServer, tmp_path: Path) -> None:
    """While one connection tries 20 times, another one with a longer wait makes one attempt at most."""
    async with tcp_proxy(server.port) as quick, tcp_proxy(server.port) as slow:
        often = configured(tmp_path, quick.url, "reconnect-wait: 10ms", "max-reconnects: -1")
        seldom = configured(tmp_path, slow.url, "reconnect-wait: 10m", "max-reconnects: -1")
        async with Connection.open(often.server), Connection.open(seldom.server) as waiting, asyncio.timeout(60):
            lost = asyncio.Event()
            waiting.on_state_change(lambda _: lost.set())
            for proxy in (quick, slow):
                proxy.refuse()
            await lost.wait()
            await quick.wait_connections(1 + 20)
            assert slow.connections <= 1 + 1


async def test_timeout_gives_up_a_server_that_does_not_answer(server: NatsServer, tmp_path: Path) -> None:
    async with tcp_proxy(server.port) as proxy, asyncio.timeout(60):
        proxy.hang()
        error = await failure(configured(tmp_path, proxy.url, "timeout: 300ms"))
        assert isinstance(error, ServerUnreachable)
        assert error.message == f"Cannot connect to {proxy.url}: no answer in time"


@pytest.mark.parametrize(("timeout", "enough"), [("200ms", False), ("1m", True)])
async def test_timeout_decides_how_late_an_answer_may_be(
    server: NatsServer, tmp_path: Path, timeout: str, enough: bool
) -> None:
    """The greeting is half a second under way; a longer wait is all it takes."""
    async with tcp_proxy(server.port, latency=0.5) as proxy, asyncio.timeout(60):
        replica = configured(tmp_path, proxy.url, f"timeout: {timeout}")
        if enough:
            assert await reached(replica) == proxy.url
        else:
            assert (await failure(replica)).message.endswith("no answer in time")


async def test_timeout_bounds_each_request_too(server: NatsServer, tmp_path: Path) -> None:
    async with tcp_proxy(server.port) as proxy:
        replica = configured(tmp_path, proxy.url, "timeout: 300ms")
        async with Connection.open(replica.server) as connection, asyncio.timeout(60):
            proxy.hang()
            with pytest.raises(RequestFailed, match=r"to `\$JS.API.INFO` within 0.3 s"):
                await connection.request("$JS.API.INFO")
