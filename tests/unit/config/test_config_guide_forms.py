"""Every YAML form of Litestream's NATS guide is read as it says, or refused by name."""

from __future__ import annotations

from pathlib import Path

import nkeys
import pytest

from litefleet.config import TLS, Credentials, Database, Replica, Server, Settings, parse
from litefleet.errors import ConfigError
from tests.support.operator import Key

SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
JWT = Key(nkeys.PREFIX_BYTE_ACCOUNT).jwt(
    nkeys.from_seed(bytearray(SEED.encode())).public_key.decode(), {"type": "user"}
)
ENVIRON = {"NATS_PASSWORD": "p#ss: 'w0rd", "NATS_TOKEN": "t$ken"}
EXAMPLE = "nats://nats.example.com:4222"


def guide(url: str, bucket: str, *more: str) -> str:
    """A file in the guide's layout; ``more`` are further lines of the replica."""
    lines = ["dbs:", "  - path: /data/app.db", "    replica:", "      type: nats", f"      url: {url}"]
    return "\n".join([*lines, f"      bucket: {bucket}", *(f"      {line}" for line in more)]) + "\n"


def only(text: str) -> Database:
    """The one database of a file that must be valid."""
    (database,) = parse(text, source="test.yml", environ=ENVIRON).databases
    return database


@pytest.mark.parametrize(
    ("text", "server", "bucket"),
    [
        pytest.param(guide(EXAMPLE, "litestream-backups"), Server((EXAMPLE,)), "litestream-backups", id="quick start"),
        pytest.param(
            guide("nats://localhost:4222", "app-backups"),
            Server(("nats://localhost:4222",)),
            "app-backups",
            id="basic setup",
        ),
        pytest.param(
            guide(EXAMPLE, "backups", "username: litestream", "password: ${NATS_PASSWORD}"),
            Server((EXAMPLE,), Credentials(username="litestream", password="p#ss: 'w0rd")),
            "backups",
            id="username and password",
        ),
        pytest.param(
            guide(EXAMPLE, "backups", "token: ${NATS_TOKEN}"),
            Server((EXAMPLE,), Credentials(token="t$ken")),
            "backups",
            id="token",
        ),
        pytest.param(
            guide(EXAMPLE, "backups", f"nkey: {SEED}"),
            Server((EXAMPLE,), Credentials(nkey=SEED)),
            "backups",
            id="nkey",
        ),
        pytest.param(
            guide(EXAMPLE, "backups", "creds: /etc/litestream/nats.creds"),
            Server((EXAMPLE,), Credentials(creds=Path("/etc/litestream/nats.creds"))),
            "backups",
            id="credentials file",
        ),
        pytest.param(
            guide(EXAMPLE, "backups", f"jwt: {JWT}", f"seed: {SEED}"),
            Server((EXAMPLE,), Credentials(jwt=JWT, seed=SEED)),
            "backups",
            id="JWT and seed",
        ),
        pytest.param(guide(EXAMPLE, "backups", "tls: true"), Server((EXAMPLE,), tls=TLS()), "backups", id="basic TLS"),
        pytest.param(
            guide(EXAMPLE, "backups", "tls: true", "root-cas:", "  - /etc/litestream/ca.pem"),
            Server((EXAMPLE,), tls=TLS((Path("/etc/litestream/ca.pem"),))),
            "backups",
            id="TLS with custom CA",
        ),
        pytest.param(
            guide(
                EXAMPLE,
                "backups",
                "tls: true",
                "root-cas:",
                "  - /etc/litestream/ca.pem",
                "client-cert: /etc/litestream/client.pem",
                "client-key: /etc/litestream/client.key",
            ),
            Server(
                (EXAMPLE,),
                tls=TLS(
                    (Path("/etc/litestream/ca.pem"),),
                    Path("/etc/litestream/client.pem"),
                    Path("/etc/litestream/client.key"),
                ),
            ),
            "backups",
            id="mutual TLS",
        ),
        pytest.param(
            guide("nats://localhost:4222", "dev-backups"),
            Server(("nats://localhost:4222",)),
            "dev-backups",
            id="local development",
        ),
        pytest.param(
            guide(
                ",".join(f"nats://nats{n}.example.com:4222" for n in (1, 2, 3)),
                "backups",
                "username: litestream",
                "password: ${NATS_PASSWORD}",
            ),
            Server(
                tuple(f"nats://nats{n}.example.com:4222" for n in (1, 2, 3)),
                Credentials(username="litestream", password="p#ss: 'w0rd"),
            ),
            "backups",
            id="clustered NATS",
        ),
        pytest.param(
            guide("nats://connect.ngs.global", "backups", "creds: /etc/litestream/ngs.creds", "tls: true"),
            Server(
                ("nats://connect.ngs.global:4222",),
                Credentials(creds=Path("/etc/litestream/ngs.creds")),
                tls=TLS(),
            ),
            "backups",
            id="Synadia NGS",
        ),
    ],
)
def test_form_of_the_guide_is_read_as_it_says(text: str, server: Server, bucket: str) -> None:
    assert only(text) == Database(Path("/data/app.db"), Replica(server, bucket))


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["nkey: SUACS34K..."], "nkey: is no valid nkey seed"),
        (["jwt: eyJ0eXAiOiJKV1QiLC...", f"seed: {SEED}"], "jwt: is no JWT"),
        ([f"jwt: {JWT}", "seed: SUACS34K..."], "seed: is no valid nkey seed"),
    ],
    ids=["nkey", "jwt", "seed"],
)
def test_placeholder_of_the_guide_is_refused_without_repeating_it(lines: list[str], what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        only(guide(EXAMPLE, "backups", *lines))
    assert not any(secret in str(caught.value) for secret in ("SUACS34K", "eyJ0", SEED))


def test_defaults_are_those_of_the_guides_table() -> None:
    server = only(guide(EXAMPLE, "backups")).replica.server
    assert (server.max_reconnects, server.reconnect_wait, server.timeout, server.tls) == (60, 2.0, 10.0, None)


def test_every_setting_reaches_its_field() -> None:
    text = """
logging: {level: debug, type: json}
snapshot: {interval: 6h}
shutdown-sync-timeout: 1m30s
dbs:
  - path: sqlite3:///data/app.db
    monitor-interval: 500ms
    checkpoint-interval: 0
    busy-timeout: 2s
    min-checkpoint-page-count: 10
    max-sync-wal-bytes: 8MiB
    wal-limit: 9MiB
    restore-if-db-not-exists: yes
    replicas:
      - url: [tls://n1, "nats://n2:4333"]
        bucket: b
        path: /shared/app/
        client-cert: /c.pem
        client-key: /c.key
        max-reconnects: -1
        reconnect-wait: 250ms
        timeout: 3s
        sync-interval: 1s
        inbox-prefix: _INBOX_app1
"""
    server = Server(
        urls=("nats://n1:4222", "nats://n2:4333"),
        tls=TLS((), Path("/c.pem"), Path("/c.key")),
        max_reconnects=-1,
        reconnect_wait=0.25,
        timeout=3.0,
        inbox_prefix="_INBOX_app1",
    )
    settings = parse(text, source="test.yml", environ={})
    assert settings.databases == (
        Database(
            path=Path("/data/app.db"),
            replica=Replica(server, "b", "shared/app", sync_interval=1.0),
            monitor_interval=0.5,
            checkpoint_interval=0.0,
            busy_timeout=2.0,
            min_checkpoint_page_count=10,
            max_sync_wal_bytes=8 * 1024 * 1024,
            wal_limit=9 * 1024 * 1024,
            restore_if_db_not_exists=True,
        ),
    )
    assert (settings.logging.level, settings.logging.type) == ("debug", "json")
    assert (settings.snapshot_interval, settings.shutdown_sync_timeout) == (6 * 3600.0, 90.0)


def test_text_settings_keep_what_was_written_even_if_yaml_sees_a_number() -> None:
    credentials = only(guide(EXAMPLE, "0012", "username: 007", "password: 1e3")).replica.server.credentials
    assert (credentials.username, credentials.password) == ("007", "1e3")


@pytest.mark.parametrize("prefix", ["~/", "sqlite://~/", "sqlite3://~/"])
def test_path_in_the_home_directory_is_made_absolute(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert only(guide(EXAMPLE, "b").replace("/data/app.db", f"{prefix}app.db")).path == Path("/home/someone/app.db")


def test_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert only(guide(EXAMPLE, "b").replace("/data/app.db", "data/../app.db")).path == tmp_path / "app.db"


TOP = """
url: nats://n1
username: u
password: p
timeout: 3s
root-cas: [/ca.pem]
dbs:
  - {path: /a.db, replica: {bucket: a}}
  - {path: /b.db, replica: {bucket: b, timeout: 4s, token: t, tls: false}}
  - {path: /c.db, replica: {bucket: c, password: other, url: "nats://n2"}}
"""


def test_top_level_replica_settings_are_defaults_and_the_replicas_own_win() -> None:
    first, second, third = (database.replica.server for database in parse(TOP, source="test.yml", environ={}).databases)
    tls = TLS((Path("/ca.pem"),))
    assert first == Server(("nats://n1:4222",), Credentials(username="u", password="p"), tls, timeout=3.0)
    assert second == Server(("nats://n1:4222",), Credentials(token="t"), None, timeout=4.0)
    assert third == Server(("nats://n2:4222",), Credentials(username="u", password="other"), tls, timeout=3.0)


@pytest.mark.parametrize(
    ("top", "own", "tls"),
    [
        ("tls: false", "url: 'tls://h'", TLS()),
        ("tls: false", "url: 'nats://h', root-cas: /ca", TLS((Path("/ca"),))),
        ("root-cas: /ca", "url: 'nats://h', tls: false", None),
        ("root-cas: /ca", "url: 'nats://h'", TLS((Path("/ca"),))),
        ("tls: true", "url: 'nats://h', tls: false", None),
        ("tls: false", "url: 'nats://h', tls: true", TLS()),
        ("", "url: 'nats://h', client-cert: /c, client-key: /k", TLS((), Path("/c"), Path("/k"))),
        ("client-cert: /c\nclient-key: /k", "url: 'nats://h', tls: false", None),
        ("tls: false", "url: 'nats://h', client-cert: /c, client-key: /k", TLS((), Path("/c"), Path("/k"))),
    ],
)
def test_the_replicas_own_word_on_tls_wins(top: str, own: str, tls: TLS | None) -> None:
    text = f"{top}\ndbs: [{{path: /a.db, replica: {{bucket: b, {own}}}}}]"
    assert only(text).replica.server.tls == tls


def test_bucket_of_the_replicas_own_url_wins_over_that_of_the_top_level() -> None:
    assert only("bucket: other\ndbs: [{path: /a.db, replica: {url: 'nats://h/b'}}]").replica.bucket == "b"


@pytest.mark.parametrize(
    ("own", "path"),
    [
        ("url: 'nats://h/b/x/y'", "x/y"),
        ("url: 'nats://h/b/x/y/', path: x/y", "x/y"),
        ("url: 'nats://h/b', path: /x/", "x"),
        ("url: 'nats://h/b', path: /", ""),
        ("url: 'nats://h', bucket: b, path: 'with space'", "with space"),
        ("url: 'nats://h/b/a%20%7B%2Cb'", None),
    ],
)
def test_place_in_a_shared_bucket(own: str, path: str | None) -> None:
    text = f"dbs: [{{path: /a.db, replica: {{{own}}}}}]"
    if path is None:
        with pytest.raises(ConfigError, match="placeholders are for entries with `dir`"):
            only(text)
    else:
        assert only(text).replica.path == path


def test_half_of_a_pair_may_come_from_the_top_level() -> None:
    credentials = only(f"jwt: {JWT}\ndbs: [{{path: /a, replica: {{url: 'nats://h/b', seed: {SEED}}}}}]").replica.server
    assert credentials.credentials == Credentials(jwt=JWT, seed=SEED)


def test_user_in_the_replicas_own_url_wins_over_credentials_of_the_top_level() -> None:
    database = only("token: t\ndbs: [{path: /a.db, replica: {url: 'nats://u:p@h/b'}}]")
    assert database.replica.server.credentials == Credentials(username="u", password="p")


def test_merge_keys_fill_in_what_a_mapping_does_not_say_itself() -> None:
    text = """
dbs:
  - {path: /a.db, replica: &shared {url: "nats://n1", bucket: a, timeout: 3s}}
  - {path: /b.db, replica: {<<: *shared, bucket: b}}
"""
    settings: Settings = parse(text, source="test.yml", environ={})
    assert [(database.replica.bucket, database.replica.server.timeout) for database in settings.databases] == [
        ("a", 3.0),
        ("b", 3.0),
    ]


def test_of_several_merged_mappings_the_first_wins() -> None:
    text = """
dbs:
  - {path: /a.db, replica: &a {url: "nats://n1", bucket: a, timeout: 3s}}
  - {path: /b.db, replica: &b {url: "nats://n2", bucket: b, timeout: 4s}}
  - {path: /c.db, replica: {bucket: c, <<: [*b, *a]}}
"""
    third = parse(text, source="test.yml", environ={}).databases[2].replica
    assert (third.bucket, third.server.urls, third.server.timeout) == ("c", ("nats://n2:4222",), 4.0)
