"""Which keys exist at each level of the file, and what to say about the others."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from litefleet.config.document import Section


@dataclass(frozen=True, slots=True)
class Level:
    """The keys of one kind of mapping."""

    #: Where such a mapping stands, for "belongs under …".
    name: str
    known: frozenset[str]
    #: Keys of Litestream or of its guide that this version refuses, each with what to do instead.
    unsupported: Mapping[str, str]


_METRICS = "remove it; this version serves no metrics over HTTP"
_RETENTION = "write it at the top level as `snapshot: {retention: …}`"
_CREDS = "put the JWT and the seed into one creds file (`nsc generate creds`) and name it with `creds`"
_CLIENT_CERT = "use `creds`, `nkey`, `token` or `username` and `password`, with `root-cas` for encryption"
_DIRECTORY = "list each database with its own `path` and bucket"
_VALIDATION = "remove it, and restore into a scratch directory to prove a backup"
_OTHER_TYPE = "it belongs to another type of replica; litefleet writes to NATS only: `type: nats`, `url` and `bucket`"

_CONNECTION = (
    "username password token nkey creds tls root-cas max-reconnects reconnect-wait timeout sync-interval inbox-prefix"
)
_OTHER_TYPES = (
    "access-key-id secret-access-key region endpoint force-path-style sign-payload require-content-md5 skip-verify "
    "storage-class part-size concurrency sse-customer-algorithm sse-customer-key sse-customer-key-path sse-kms-key-id "
    "sign-accept-encoding account-name account-key sas-token host user key-path concurrent-writes host-key webdav-url "
    "webdav-username webdav-password"
)

REPLICA = Level(
    "a database's `replica`",
    frozenset({"type", "url", "bucket", *_CONNECTION.split()}),
    {
        "jwt": _CREDS,
        "seed": _CREDS,
        "client-cert": _CLIENT_CERT,
        "client-key": _CLIENT_CERT,
        "path": "give each database a bucket of its own: Litestream ignores this key and mixes databases",
        "name": "remove it; a database has one replica, which needs no name",
        "max-sync-ltx-files": "remove it; `max-sync-wal-bytes` of the database bounds one upload",
        "auto-recover": "remove it",
        "validation-interval": _VALIDATION,
        "age": "remove it; encrypt at rest with the NATS server's own JetStream encryption",
        "retention": _RETENTION,
        "retention-check-interval": _RETENTION,
        "snapshot-interval": "write it at the top level as `snapshot: {interval: …}`",
        **dict.fromkeys(_OTHER_TYPES.split(), _OTHER_TYPE),
    },
)

DATABASE = Level(
    "an entry of `dbs`",
    frozenset(
        {
            "path",
            "monitor-interval",
            "checkpoint-interval",
            "busy-timeout",
            "min-checkpoint-page-count",
            "max-sync-wal-bytes",
            "restore-if-db-not-exists",
            "replica",
            "replicas",
        }
    ),
    {
        "dir": _DIRECTORY,
        "pattern": _DIRECTORY,
        "recursive": _DIRECTORY,
        "watch": _DIRECTORY,
        "meta-path": "remove it; no files are kept beside the database",
        "meta-dir": "remove it; no files are kept beside the database",
        "truncate-page-n": "remove it",
        "max-checkpoint-page-count": "remove it",
        "snapshot": "write it at the top level, for all databases",
        "auto-recover": "remove it",
    },
)

TOP = Level(
    "the top level",
    frozenset({"dbs", "logging", "snapshot", "levels", "l0-retention", "retention", "shutdown-sync-timeout"})
    | REPLICA.known,
    {
        **REPLICA.unsupported,
        "addr": _METRICS,
        "mcp-addr": "remove it",
        "exec": "start the application as a service of its own",
        "socket": "remove it",
        "validation": _VALIDATION,
        "l0-retention-check-interval": "remove it; files are removed as soon as they may be",
        "verify-compaction": "remove it; a compaction that does not fit its sources is never uploaded",
        "heartbeat-url": "watch the service itself, for example with systemd",
        "heartbeat-interval": "watch the service itself, for example with systemd",
        "shutdown-sync-interval": "remove it; `shutdown-sync-timeout` bounds the whole wait",
    },
)

LOGGING = Level(
    "`logging`",
    frozenset({"level", "type"}),
    {"stderr": "remove it; logs always go to standard error", "source": "remove it"},
)

SNAPSHOT = Level("`snapshot`", frozenset({"interval", "retention"}), {})

RETENTION = Level("`retention`", frozenset({"enabled"}), {})

COMPACTION = Level("an entry of `levels`", frozenset({"interval"}), {})

#: In the order in which a misplaced key is looked for; the top level takes replica settings too, so it comes late.
_LEVELS_BY_NEED = (REPLICA, DATABASE, TOP, LOGGING, SNAPSHOT, RETENTION, COMPACTION)


def check_keys(section: Section, level: Level) -> None:
    """Add a problem for each key that ``level`` does not have."""
    for key, entry in section.entries.items():
        if key in level.known:
            continue
        if key in level.unsupported:
            entry.problem(_unsupported(key, level))
        else:
            entry.problem(_advice(key, level))


def _unsupported(key: str, level: Level) -> str:
    return f"not supported yet: `{key}`; {level.unsupported[key]}"


def _advice(key: str, level: Level) -> str:
    for other in _LEVELS_BY_NEED:
        if other is not level and key in other.known:
            return f"unknown key; it belongs in {other.name}"
    for other in _LEVELS_BY_NEED:
        if key in other.unsupported:
            return _unsupported(key, other)
    folded = key.lower().replace("_", "-").replace(" ", "-")
    candidates = sorted({*level.known, *level.unsupported})
    if close := difflib.get_close_matches(folded, candidates, n=1, cutoff=0.7):
        return f"unknown key; did you mean {close[0]}?"
    return f"unknown key; {level.name} has {', '.join(sorted(level.known))}"
