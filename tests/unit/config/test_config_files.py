"""load(): the file itself, and the files that it names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nkeys
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from litefleet.config import DEFAULT_PATH, TLS, Settings, default_path, load
from litefleet.errors import ConfigError

SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
ACCOUNT_SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_ACCOUNT).decode()
PUBLIC = nkeys.from_seed(SEED.encode()).public_key.decode()
JWT = "eyJ0eXAiOiJKV1QifQ.eyJuYW1lIjoiYSJ9.c2lnbmF0dXJl"
JWT_BLOCK = f"-----BEGIN NATS USER JWT-----\n{JWT}\n------END NATS USER JWT------\n"
SEED_BLOCK = f"-----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"
CREDS = f"{JWT_BLOCK}\n*** IMPORTANT ***\n{SEED_BLOCK}\n*****\n"


def load_with(directory: Path, setting: str) -> Settings:
    """The settings of a file whose replica has ``setting``."""
    path = directory / "litefleet.yml"
    path.write_text(f"dbs: [{{path: /a.db, replica: {{url: 'nats://h/b', {setting}}}}}]\n")
    return load(path)


def refused(directory: Path, setting: str) -> str:
    """What is said about ``setting``."""
    with pytest.raises(ConfigError) as caught:
        load_with(directory, setting)
    assert SEED not in str(caught.value)
    assert JWT not in str(caught.value)
    return str(caught.value)


def test_creds_file_with_both_blocks_is_accepted(tmp_path: Path) -> None:
    creds = tmp_path / "nats.creds"
    creds.write_text(CREDS)
    (database,) = load_with(tmp_path, f"creds: {creds}").databases
    assert database.replica.server.credentials.creds == creds


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (SEED_BLOCK, "has no complete JWT block"),
        (JWT_BLOCK, "has no complete NKEY SEED block"),
        ("", "has no complete JWT block"),
        (CREDS.replace("------END USER NKEY SEED------", ""), "has no complete NKEY SEED block"),
        (CREDS.replace(JWT, "x"), "is no JWT"),
        (CREDS.replace(SEED, SEED[:-1] + "A"), "is no user's seed"),
        (CREDS.replace(SEED, ACCOUNT_SEED), "is no user's seed"),
        (CREDS.replace("\n", "\r\n"), "Windows line ends"),
        ("x" * 2_000_000, "larger than 1024 KiB"),
    ],
    ids=["no JWT", "no seed", "empty", "cut short", "JWT", "seed", "account", "CRLF", "large"],
)
def test_broken_creds_file_is_refused(content: str, what: str, tmp_path: Path) -> None:
    creds = tmp_path / "nats.creds"
    creds.write_bytes(content.encode())
    said = refused(tmp_path, f"creds: {creds}")
    assert f"litefleet.yml:1: dbs[0].replica.creds: {creds}: " in said
    assert what in said


def test_of_two_blocks_the_first_counts_as_it_does_at_the_login(tmp_path: Path) -> None:
    creds = tmp_path / "nats.creds"
    creds.write_text(f"-----BEGIN USER NKEY SEED-----\nSUNOSEED\n{CREDS}")
    assert "NKEY SEED" in refused(tmp_path, f"creds: {creds}")


@pytest.mark.parametrize("key", ["creds", "nkey", "root-cas"])
def test_missing_file_and_directory_are_refused(key: str, tmp_path: Path) -> None:
    assert f"replica.{key}: {tmp_path}/none: does not exist" in refused(tmp_path, f"{key}: {tmp_path}/none")
    assert f"replica.{key}: {tmp_path}: is not a file" in refused(tmp_path, f"{key}: {tmp_path}")


def test_nkey_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "user.nk"
    path.write_text(f"{SEED}\n")
    (database,) = load_with(tmp_path, f"nkey: {path}").databases
    assert database.replica.server.credentials.nkey == str(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "no valid nkey seed"),
        (SEED[:-1] + ("A" if SEED[-1] != "A" else "B"), "no valid nkey seed"),
        (SEED.lower(), "no valid nkey seed"),
        (PUBLIC, "is a public key"),
        (ACCOUNT_SEED, "is the seed of an account"),
    ],
    ids=["empty", "wrong checksum", "lower case", "public key", "account"],
)
def test_what_is_no_seed_of_a_user_is_refused_inline_and_in_a_file(content: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "user.nk"
    path.write_text(content)
    assert what in refused(tmp_path, f"nkey: {path}")
    if content:
        said = refused(tmp_path, f"nkey: {content}")
        assert what in said
        assert content not in said


def test_ca_in_pem_form_is_accepted_and_anything_else_is_not(tmp_path: Path) -> None:
    ca = trustme.CA()
    pem, key, other = tmp_path / "ca.pem", tmp_path / "ca.key", tmp_path / "other"
    ca.cert_pem.write_to_path(str(pem))
    ca.private_key_pem.write_to_path(str(key))
    other.write_text("hello")
    (database,) = load_with(tmp_path, f"root-cas: [{pem}]").databases
    assert database.replica.server.tls is not None
    assert database.replica.server.tls.root_cas == (pem,)
    assert "root-cas[1]" in refused(tmp_path, f"root-cas: [{pem}, {other}]")
    assert "holds no PEM certificate" in refused(tmp_path, f"root-cas: [{other}]")
    assert "holds a private key" in refused(tmp_path, f"root-cas: [{key}]")
    pem.write_text(pem.read_text().replace("MII", "AAA"))
    assert "cannot be read" in refused(tmp_path, f"root-cas: [{pem}]")


def client_pair(directory: Path, ca: trustme.CA, name: str) -> tuple[Path, Path]:
    """A certificate with its chain, and its key."""
    issued = ca.issue_cert(name)
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    return cert, key


def test_client_certificate_and_its_key_are_accepted(tmp_path: Path) -> None:
    cert, key = client_pair(tmp_path, trustme.CA(), "agent")
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    for chosen in ((cert, key), (both, both)):
        (database,) = load_with(tmp_path, f"client-cert: {chosen[0]}, client-key: {chosen[1]}").databases
        assert database.replica.server.tls == TLS((), *chosen)


def test_client_certificate_or_key_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    ca = trustme.CA()
    cert, key = client_pair(tmp_path, ca, "agent")
    _, stranger = client_pair(tmp_path, ca, "other")
    broken, locked = tmp_path / "broken", tmp_path / "locked.key"

    def said(cert: Path, key: Path) -> str:
        return refused(tmp_path, f"client-cert: {cert}, client-key: {key}")

    assert f"client-key: {stranger}: is not the key of the certificate in {cert}" in said(cert, stranger)
    assert f"client-key: {cert}: holds no PEM private key" in said(cert, cert)
    text = said(key, key)
    assert f"client-cert: {key}: holds no PEM certificate" in text
    assert "client-key" not in text
    assert f"client-key: {tmp_path}/none: does not exist" in said(cert, tmp_path / "none")
    text = said(tmp_path / "none", key)
    assert f"client-cert: {tmp_path}/none: does not exist" in text
    assert "client-key" not in text
    broken.write_text(cert.read_text().replace("MII", "AAA"))
    assert f"client-cert: {broken}: holds a PEM certificate that cannot be read" in said(broken, key)
    broken.write_text(key.read_text().replace("\nM", "\nA", 1))
    assert f"client-key: {broken}: holds a PEM private key that cannot be read" in said(cert, broken)
    pem = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        pem.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert f"client-key: {locked}: is protected by a password" in said(cert, locked)


def test_file_that_may_not_be_read_is_refused() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        creds = directory / "nats.creds"
        creds.write_text(CREDS)
        creds.chmod(0o600)
        load_with(directory, f"creds: {creds}")
        (directory / "litefleet.yml").chmod(0o644)
        os.seteuid(65534)
        try:
            with pytest.raises(ConfigError, match=f"replica.creds: {creds}: may not be read by this user"):
                load(directory / "litefleet.yml")
        finally:
            os.seteuid(0)


def test_configuration_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}/x.yml: the configuration file does not exist"):
        load(tmp_path / "x.yml")


def test_configuration_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_bytes(b"dbs: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(path)


def test_load_expands_from_the_process_environment_unless_told_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITEFLEET_TEST_TOKEN", "t0k")
    path = tmp_path / "x.yml"
    path.write_text("dbs: [{path: /a.db, replica: {url: 'nats://h/b', token: $LITEFLEET_TEST_TOKEN}}]")
    tokens = [load(path, expand_env=on).databases[0].replica.server.credentials.token for on in (True, False)]
    assert tokens == ["t0k", "$LITEFLEET_TEST_TOKEN"]


def test_two_databases_that_are_one_through_a_symbolic_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    path = tmp_path / "x.yml"
    path.write_text(
        f"dbs: [{{path: {tmp_path}/a.db, replica: {{url: 'nats://h/b'}}}},"
        f" {{path: {tmp_path}/link/a.db, replica: {{url: 'nats://h/c'}}}}]"
    )
    with pytest.raises(ConfigError, match="is the same database as"):
        load(path)


@pytest.mark.parametrize(
    ("environ", "path"),
    [({}, DEFAULT_PATH), ({"LITEFLEET_CONFIG": ""}, DEFAULT_PATH), ({"LITEFLEET_CONFIG": "/x.yml"}, Path("/x.yml"))],
)
def test_default_path(environ: dict[str, str], path: Path) -> None:
    assert default_path(environ) == path
