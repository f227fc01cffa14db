"""What check-config prints: the whole truth but for the secrets."""

from __future__ import annotations

import nkeys
import pytest
import yaml

from litefleet.config import describe, effective, parse
from tests.support.operator import Key

SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
JWT = Key(nkeys.PREFIX_BYTE_ACCOUNT).jwt(nkeys.from_seed(bytearray(SEED.encode())).public_key.decode(), {})
FILE = """
logging: {level: warn}
snapshot: {interval: 90m}
addr: 127.0.0.1:9090
socket: {path: /run/x.sock, permissions: "0660"}
spool: {path: /spool, limit: 2GiB}
max-open: 7
identity: blue
dbs:
  - path: /a.db
    busy-timeout: 250ms
    max-sync-wal-bytes: 1MiB
    replica: {url: "tls://h1,h2:1/a", root-cas: /ca.pem, creds: /x.creds, timeout: 3s, max-reconnects: -1}
  - path: /b.db
    restore-if-db-not-exists: true
    wal-limit: 1GiB
    replica:
      {url: "nats://[::1]/b/x%20y", nkey: /user.nk, sync-interval: 1s, inbox-prefix: _INBOX_b,
       client-cert: /c.pem, client-key: /c.key}
  - {dir: /d, pattern: "*.db", recursive: true, watch: true, replica: {url: "nats://h/shared", path: fleet}}
"""


def test_effective_configuration_is_a_file_with_the_same_meaning() -> None:
    settings = parse(FILE, source="f.yml", environ={})
    again = yaml.safe_dump(effective(settings))
    assert parse(again, source="again.yml", environ={}) == settings


@pytest.mark.parametrize(
    "body", ["username: u, password: hunter2", "token: hunter2", f"nkey: {SEED}", f"jwt: {JWT}, seed: {SEED}"]
)
def test_secrets_are_masked(body: str) -> None:
    settings = parse(f"dbs: [{{path: /a.db, replica: {{url: 'nats://h/b', {body}}}}}]", source="f.yml", environ={})
    shown = str(effective(settings)) + str(describe(settings)) + repr(settings)
    assert "***" in shown
    assert "hunter2" not in shown
    assert SEED not in shown
    assert JWT not in shown


def test_secret_of_a_url_is_masked() -> None:
    settings = parse("dbs: [{path: /a.db, replica: {url: 'nats://u:hunter2@h/b'}}]", source="f.yml", environ={})
    rows = dict(describe(settings))
    assert rows["dbs[0].replica.url"] == "nats://h:4222"
    assert (rows["dbs[0].replica.username"], rows["dbs[0].replica.password"]) == ("u", "***")


def test_rows_name_each_setting_as_the_file_does() -> None:
    rows = dict(describe(parse(FILE, source="f.yml", environ={})))
    assert rows["snapshot.interval"] == "1h30m"
    assert rows["dbs[0].replica.root-cas[0]"] == "/ca.pem"
    assert rows["dbs[0].replica.tls"] == "true"
    assert (rows["socket.enabled"], rows["socket.permissions"]) == ("true", "0660")
    assert rows["dbs[2].replica.path"] == "fleet/{relative}"
    assert rows["dbs[1].restore-if-db-not-exists"] == "true"
    assert rows["dbs[1].replica.nkey"] == "/user.nk"


def test_what_there_is_none_of_is_not_shown() -> None:
    rows = dict(describe(parse("dbs: [{path: /a.db, replica: {url: 'nats://h/b'}}]", source="f.yml", environ={})))
    assert rows["socket.enabled"] == "false"
    assert not {"addr", "identity", "socket.path", "dbs[0].replica.path"} & set(rows)
