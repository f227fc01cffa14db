"""Mutual TLS: the certificate that we show, what the server has against it, and its replacement while we run."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from litefleet.config.settings import TLS, Credentials, Server
from litefleet.errors import AuthenticationFailed, NatsError, TLSFailed
from litefleet.nats.connection import Connection, StateChange
from tests.support.authority import Authority
from tests.support.natsserver import NatsServer, nats_server
from tests.support.operator import Operator


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path)


def showing(server: NatsServer, authority: Authority, pair: tuple[Path, Path], **options: Any) -> Server:
    return Server((server.url,), tls=TLS((authority.file,), *pair), **options)


async def failure(server: Server) -> NatsError:
    with pytest.raises(NatsError) as caught:
        async with Connection.open(server):
            pass
    return caught.value


@pytest.mark.parametrize("more", [{}, {"handshake_first": True}])
async def test_certificate_of_the_servers_ca_is_let_in(
    authority: Authority, tmp_path: Path, more: dict[str, Any]
) -> None:
    async with nats_server({"tls": authority.mutual_tls(**more)}, tmp_path / "nats") as server:
        async with Connection.open(showing(server, authority, authority.issue("agent", "agent"))) as connection:
            await connection.request("$JS.API.INFO")
        assert isinstance(await failure(Server((server.url,), tls=TLS((authority.file,)))), TLSFailed)


async def test_certificate_of_another_ca_is_refused(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path, "other").issue("stranger", "agent")
    async with nats_server({"tls": authority.mutual_tls()}, tmp_path / "nats") as server:
        error = await failure(showing(server, authority, stranger))
    assert isinstance(error, TLSFailed)
    assert f"client certificate `{stranger[0]}`" in error.message
    assert "`ca_file`" in error.hint


async def test_server_that_says_why_it_refuses_a_certificate_is_quoted(authority: Authority, tmp_path: Path) -> None:
    """With a handshake before anything else, nothing of ours is under way that could cut its words off."""
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    stranger = Authority.create(tmp_path, "other").issue("stranger", "agent")
    tls = authority.mutual_tls(handshake_first=True)
    async with nats_server({"tls": tls}, tmp_path / "nats") as server:
        expired = await failure(showing(server, authority, authority.issue("old", "agent", not_after=past)))
        unknown = await failure(showing(server, authority, stranger))
    assert isinstance(expired, TLSFailed)
    assert expired.message.endswith(f"the client certificate `{tmp_path / 'old.crt'}` has expired or is not valid yet")
    assert unknown.message.endswith(f"the server does not trust the CA of the client certificate `{stranger[0]}`")


@pytest.mark.parametrize("expired", [False, True])
async def test_with_tls_1_2_it_is_the_same(authority: Authority, tmp_path: Path, expired: bool) -> None:
    when = dt.datetime.now(dt.UTC) + dt.timedelta(days=-1 if expired else 1)
    pair = authority.issue("agent", "agent", not_after=when)
    tls = authority.mutual_tls(min_version="1.2", cipher_suites=["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"])
    async with nats_server({"tls": tls}, tmp_path / "nats") as server:
        settings = showing(server, authority, pair)
        if expired:
            assert f"client certificate `{pair[0]}`" in (await failure(settings)).message
        else:
            async with Connection.open(settings) as connection:
                await connection.request("$JS.API.INFO")


async def test_certificate_can_be_the_login(authority: Authority, tmp_path: Path) -> None:
    tls = {**authority.mutual_tls(), "verify_and_map": True}
    config = {"tls": tls, "authorization": {"users": [{"user": "agent"}]}}
    agent, stranger = authority.issue("agent", "agent"), authority.issue("stranger", "stranger")
    async with nats_server(config, tmp_path / "nats") as server:
        async with Connection.open(showing(server, authority, agent)) as connection:
            await connection.request("$JS.API.INFO")
        error = await failure(showing(server, authority, stranger))
    assert isinstance(error, AuthenticationFailed)
    assert error.message.endswith(f"refuses the client certificate `{stranger[0]}`")
    assert "verify_and_map" in error.hint


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ("agent.key", "Cannot read the client key `{dir}/agent.key`: No such file or directory"),
        ("agent.crt", "Cannot read the client certificate `{dir}/agent.crt`: No such file or directory"),
        ("other.key", "The key `{dir}/agent.key` is not that of the client certificate `{dir}/agent.crt`"),
        ("ca.pem", "No client certificate and key that can be used in `{dir}/agent.crt` and `{dir}/agent.key`"),
    ],
)
async def test_files_that_cannot_be_used_are_named_before_connecting(
    authority: Authority, tmp_path: Path, broken: str, what: str
) -> None:
    pair = authority.issue("agent", "agent")
    authority.issue("other", "other")
    if broken.startswith("agent"):
        (tmp_path / broken).unlink()
    else:
        pair[1].write_bytes((tmp_path / broken).read_bytes())
    error = await failure(Server(("nats://127.0.0.1:1",), tls=TLS((authority.file,), *pair)))
    assert isinstance(error, TLSFailed)
    assert error.message == what.format(dir=tmp_path)


async def test_certificates_that_were_replaced_are_used_at_the_next_attempt(tmp_path: Path) -> None:
    """All of them at once, CA included, and no end of attempts in which the old ones could live on."""
    old, server_dir = Authority.create(tmp_path), tmp_path / "nats"
    pair = old.issue("agent", "agent")
    async with nats_server({"tls": old.mutual_tls()}, server_dir) as server:
        settings = showing(server, old, pair, max_reconnects=-1, reconnect_wait=0.05)
        async with Connection.open(settings) as connection, asyncio.timeout(60):
            changes: asyncio.Queue[StateChange] = asyncio.Queue()
            connection.on_state_change(changes.put_nowait)
            await asyncio.to_thread(server.stop)
            assert (await changes.get()).state == "disconnected"
            new = Authority.create(tmp_path)
            new.issue("agent", "agent")
            config = json.loads(server.config_path.read_text())
            server.config_path.write_text(json.dumps({**config, "tls": new.mutual_tls()}))
            await asyncio.to_thread(server.start)
            assert (await changes.get()).state == "reconnected"
            await connection.request("$JS.API.INFO")


async def test_file_that_is_missing_at_an_attempt_ends_the_connection_with_its_name(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.issue("agent", "agent")
    async with nats_server({"tls": authority.mutual_tls()}, tmp_path / "nats") as server:
        settings = showing(server, authority, pair, max_reconnects=1, reconnect_wait=0.05)
        async with Connection.open(settings) as connection, asyncio.timeout(60):
            closed: asyncio.Queue[StateChange] = asyncio.Queue()
            connection.on_state_change(lambda change: closed.put_nowait(change) if change.state == "closed" else None)
            pair[1].unlink()
            await asyncio.to_thread(server.restart)
            change = await closed.get()
    assert isinstance(change.error, TLSFailed)
    assert change.error.message == f"Cannot read the client key `{pair[1]}`: No such file or directory"


async def test_jwt_goes_over_mutual_tls(authority: Authority, tmp_path: Path) -> None:
    operator = Operator()
    user = operator.user()
    async with nats_server({**operator.config(), "tls": authority.mutual_tls()}, tmp_path / "nats") as server:
        tls = TLS((authority.file,), *authority.issue("agent", "agent"))
        login = Credentials(jwt=user.jwt, seed=user.seed)
        async with Connection.open(Server((server.url,), login, tls)) as connection:
            await connection.request("$JS.API.INFO")
