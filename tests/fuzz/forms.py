"""Inputs that people write: configuration files in the forms of the guide, URLs, values, times."""

from __future__ import annotations

_HEAD = "dbs:\n  - path: /data/app.db\n    replica:\n      type: nats\n"


def _replica(*lines: str, url: str = "nats://nats.example.com:4222", bucket: str = "backups") -> str:
    return _HEAD + "".join(f"      {line}\n" for line in (f"url: {url}", f"bucket: {bucket}", *lines))


CONFIGURATIONS = (
    _replica(),
    _replica("username: litestream", "password: ${NATS_PASSWORD}"),
    _replica("token: $NATS_PASSWORD"),
    _replica("nkey: SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"),
    _replica("creds: /etc/litestream/nats.creds", "tls: true", url="nats://connect.ngs.global"),
    _replica("jwt: eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.e30.c2ln", "seed: SUACSSL3UAHUDXKFSNVUZRF5UHPM"),
    _replica("tls: true", "root-cas:", "  - /etc/litestream/ca.pem", "client-cert: /c.pem", "client-key: /k.pem"),
    _replica(url="nats://n1:4222,nats://n2:4222,nats://n3:4222"),
    _replica("max-reconnects: -1", "reconnect-wait: 2s", "timeout: 10s", "inbox-prefix: _INBOX_a", "sync-interval: 1s"),
    "dbs: [{path: /a.db, replica: {url: 'nats://u:p%40s@h:4222/b/some/path'}}]\n",
    'dbs: [{path: "/a.db", replica: {url: "$NATS_URL", path: "p/q"}}, {path: ~/b.db, replicas: [{url: nats://h/c}]}]\n',
    (
        "dbs:\n  - dir: /data\n    pattern: '*.db'\n    recursive: true\n    watch: true\n"
        "    replica: {url: nats://h, bucket: 'b-{name}', path: '{relative}'}\n"
    ),
    "x: &base {type: nats, url: nats://h, tls: false}\ndbs: [{path: /a, replica: {<<: *base, bucket: b}}]\n",
    "a: &a {<<: *a}\ndbs: [{path: /a, replica: {<<: [*a, *a], url: nats://h/b}}]\n",
    (
        "logging: {level: debug, type: json}\nsnapshot: {interval: 24h, retention: 168h}\nl0-retention: 5m\n"
        "levels: [{interval: 30s}, {interval: 5m}, {interval: 1h}]\nretention: {enabled: no}\naddr: ':9090'\n"
        "socket: {enabled: true, path: /run/l.sock, permissions: '0600'}\nspool: {path: /s, limit: 1GiB}\n"
        "max-open: 500\nshutdown-sync-timeout: 30s\nidentity: host1\n"
        "dbs: [{path: /a.db, monitor-interval: 1s, wal-limit: 64MiB, "
        "min-checkpoint-page-count: 1000, max-sync-wal-bytes: 64 MiB, busy-timeout: 1s, replica: {url: nats://h/b}}]\n"
    ),
    "dbs: [{path: /a, replica: {type: s3, bucket: b, region: us-east-1}}]\naccess-key-id: x\nmcp-addr: ':1'\n",
    "%YAML 1.1\n---\ndbs: !!seq [!x {path: |\n  /a\n  }]\n...\n",
    'dbs: [{path: "\\x41\\u0042\\U00000043\\ud800", replica: {? [a] : b}}]\n',
)

URLS = (
    "nats://nats.example.com:4222",
    "nats://localhost:4222/backups",
    "tls://user:p%40ss@h1:4222,h2,nats://h3:4224/bucket",
    "nats://token@[::1]:4222/b/a/path",
    "nats://[fe80::1%25eth0]/b",
    "nats://a\nnats://b:4223/bucket\ntls://c",
    "s3://bucket/path",
    "file:///a",
    "wss://h",
)

VALUES = (
    "30s",
    "1h30m",
    "500ms",
    "2.5s",
    "-1.5h",
    "0",
    "168h",
    "10 MB",
    "64MiB",
    "1048576",
    "1GiB",
    "7d",
    "1µs",
    "1e9s",
)

VARIABLES = ("$NATS_PASSWORD", "${NATS_URL}/b", "$$literal $EMPTY ${", "a${MISSING}b$RAW", "p$ssw0rd", "$1 $ $(x)")

OBJECT_NAMES = (
    "ltx/0/0000000000000001-0000000000000001.ltx",
    "ltx/9/0000000000000001-ffffffffffffffff.ltx",
    "some/path/ltx/1/0000000000000002-000000000000000a.ltx",
    "litefleet/stopped-at",
)

TIMES = (
    "2026-11-23T08:32:22.73Z",
    "2026-11-23t08:32:22.123456789+02:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999999-14:00",
    "2024-02-29 23:59:60z",
    "2026-W48-1T00:00:00Z",
    "20261123T083222Z",
    "2026-11-23",
)
