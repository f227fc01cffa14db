"""What `litefleet doctor` says about certificates and logins: whose they are, and how long they last."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.integration.commands.doctor import Report, configuration, database
from tests.support.natsserver import NatsServer, nats_server
from tests.support.operator import Operator

Serve = Callable[..., NatsServer]


@pytest.fixture
def ca(tmp_path: Path) -> trustme.CA:
    made = trustme.CA(organization_name="Backup CA", organization_unit_name="tests")
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def serve(ca: trustme.CA, tmp_path: Path) -> Serve:
    """A server whose certificate is for the given names and ends after ``days``."""

    def make(*names: str, days: float = 90.5, tls: dict[str, Any] | None = None) -> NatsServer:
        end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        issued = ca.issue_cert(*(names or ("127.0.0.1", "db.example")), not_after=end)
        cert, key = tmp_path / "server.crt", tmp_path / "server.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return nats_server({"tls": {"cert_file": str(cert), "key_file": str(key), **(tls or {})}}, tmp_path / "nats")

    return make


def doctor(server: NatsServer, directory: Path, **replica: Any) -> Report:
    options = {"url": server.url, "bucket": "B", "root-cas": str(directory / "ca.pem"), **replica}
    return Report(configuration(directory, {database(directory / "a.db"): options}))


def test_a_sound_certificate(serve: Serve, tmp_path: Path) -> None:
    with serve() as server:
        found = doctor(server, tmp_path).one("tls")
    assert found["status"] == "ok"
    assert "certificate for db.example, 127.0.0.1 by Backup CA, tests: expires in 90 days" in found["detail"] or (
        "certificate for 127.0.0.1, db.example by Backup CA, tests: expires in 90 days" in found["detail"]
    )
    assert found["detail"].startswith("TLSv1.3, ")


@pytest.mark.parametrize("handshake", [True, "auto"])
def test_a_server_that_shakes_hands_first(serve: Serve, tmp_path: Path, handshake: bool | str) -> None:
    with serve(tls={"handshake_first": handshake}) as server:
        assert doctor(server, tmp_path).one("tls")["status"] == "ok"


def test_a_certificate_that_ends_soon(serve: Serve, tmp_path: Path) -> None:
    with serve(days=5.5) as server:
        found = doctor(server, tmp_path).one("tls")
    assert found["status"] == "warning"
    assert "expires in 5 days" in found["detail"]
    assert "rotate_tls.yml" in found["hint"]


def test_a_certificate_that_has_ended(serve: Serve, tmp_path: Path) -> None:
    with serve(days=-1) as server:
        report = doctor(server, tmp_path)
    assert "has expired" in report.details("problem", "server")[0]
    assert "expired on" in report.details("problem", "tls")[0]


def test_a_certificate_for_another_name_says_for_which(serve: Serve, tmp_path: Path) -> None:
    with serve("nats.example.com") as server:
        report = doctor(server, tmp_path)
    assert "is for another host name" in report.details("problem", "server")[0]
    assert "certificate for nats.example.com by" in report.one("tls")["detail"]


def test_a_certificate_of_a_stranger(serve: Serve, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with serve() as server:
        report = doctor(server, tmp_path, **{"root-cas": str(tmp_path / "other.pem")})
    assert "is not trusted" in report.details("problem", "server")[0]
    assert "by Backup CA" in report.one("tls")["detail"]


def test_a_server_that_does_not_encrypt(ca: trustme.CA, tmp_path: Path) -> None:
    with nats_server(store_dir=tmp_path / "nats") as server:
        report = doctor(server, tmp_path)
    assert "does not encrypt" in report.details("problem", "server")[0]


@pytest.mark.parametrize(("days", "status"), [(90.5, "ok"), (3.5, "warning"), (-1, "problem")])
def test_our_own_certificate(ca: trustme.CA, serve: Serve, tmp_path: Path, days: float, status: str) -> None:
    issued = ca.issue_cert("agent.example", not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=days))
    cert, key = tmp_path / "client.crt", tmp_path / "client.key"
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    key.chmod(0o644)
    with serve(tls={"verify": True, "ca_file": str(tmp_path / "ca.pem")}) as server:
        report = doctor(server, tmp_path, **{"client-cert": str(cert), "client-key": str(key)})
    (ours,) = [found for found in report.findings if found["what"] == f"client certificate {cert}"]
    assert ours["status"] == status
    assert report.one("server")["status"] == ("problem" if status == "problem" else "ok")
    (readable,) = report.of("warning", "login")
    assert readable["what"] == str(key)


@pytest.mark.parametrize(
    ("days", "status", "words"),
    [(None, "ok", "does not expire"), (90.5, "ok", "expires in 90 days"), (2.5, "warning", "expires in 2 days")],
)
def test_the_login_of_a_creds_file(tmp_path: Path, days: float | None, status: str, words: str) -> None:
    operator = Operator()
    text, _ = operator.creds(expires=None if days is None else days * 86400)
    creds = tmp_path / "agent.creds"
    creds.touch(0o600)
    creds.write_text(text)
    with nats_server(operator.config(), tmp_path / "nats") as server:
        replica = {"url": server.url, "bucket": "B", "creds": str(creds)}
        report = Report(configuration(tmp_path, {database(tmp_path / "a.db"): replica}))
    found = report.one("login")
    assert found["status"] == status
    assert words in found["detail"]
    assert str(creds) in found["what"]
