"""Certificates on the controller."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.litefleet.backup.plugins.module_utils import _authority
from cryptography import x509

from tests.unit.ansible.running import run_module

HOSTS = [{"name": "nats1", "names": ["nats1", "10.0.0.1"]}, {"name": "nats2", "names": ["nats2"], "address": "fd00::2"}]


def make(directory: Path, *, check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module("certificates", {"directory": str(directory), "hosts": HOSTS, **more}, check=check)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    assert make(tmp_path)["changed"]
    return tmp_path


def test_a_second_run_makes_nothing(made: Path) -> None:
    before = {file.name: file.read_bytes() for file in made.iterdir()}
    assert make(made)["made"] == {}
    assert {file.name: file.read_bytes() for file in made.iterdir()} == before


def test_keys_are_private(made: Path) -> None:
    assert {file.stat().st_mode & 0o777 for file in made.glob("*.key")} == {0o600}


def test_two_hosts_trust_each_other_both_ways(made: Path) -> None:
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    for context, name in ((server, "nats1"), (client, "nats2")):
        context.load_cert_chain(made / f"{name}.crt", made / f"{name}.key")
        context.load_verify_locations(made / "ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname="10.0.0.1"),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].getpeercert()
    assert ends[1].version() == "TLSv1.3"


def test_the_address_is_named_too(made: Path) -> None:
    certificate = x509.load_pem_x509_certificate((made / "nats2.crt").read_bytes())
    assert _authority.subject_names(certificate) == {"nats2", "fd00::2"}


def test_a_new_name_makes_a_new_certificate_and_says_why(made: Path) -> None:
    hosts = [{"name": "nats1", "names": ["nats1", "nats1.example.com"]}]
    result = run_module("certificates", {"directory": str(made), "hosts": hosts})
    assert result["made"] == {"nats1": "it does not name nats1.example.com"}
    assert "nats1.crt" in result["diff"]["after"]


def test_a_certificate_near_its_end_is_made_anew(made: Path) -> None:
    assert set(make(made, renew_days=400)["made"]) == {"nats1", "nats2"}


def test_a_foreign_key_is_noticed(made: Path) -> None:
    (made / "nats1.key").write_bytes((made / "nats2.key").read_bytes())
    assert make(made)["made"] == {"nats1": "the key does not belong to the certificate"}


def test_a_new_authority_makes_all_certificates_anew(made: Path) -> None:
    (made / "ca.crt").unlink()
    assert set(make(made)["made"]) == {"ca", "nats1", "nats2"}


def test_check_mode_makes_nothing(tmp_path: Path) -> None:
    assert set(make(tmp_path / "tls", check=True)["made"]) == {"ca", "nats1", "nats2"}
    assert not (tmp_path / "tls").exists()


def test_given_certificates_are_only_verified(made: Path) -> None:
    (made / "ca.key").unlink()
    assert make(made, issue=False)["changed"] is False
    (made / "nats2.crt").write_bytes((made / "nats1.crt").read_bytes())
    result = make(made, issue=False)
    assert result["failed"]
    assert "nats2.crt: the key does not belong to the certificate" in result["msg"]


def test_without_the_authoritys_key_nothing_can_be_made(made: Path) -> None:
    (made / "ca.key").unlink()
    (made / "nats1.crt").unlink()
    result = make(made)
    assert result["failed"]
    assert "ca.key is not there to sign" in result["msg"]
