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


_RETENTION = "write it at the top level as `snapshot: {retention: …}`"
_VALIDATION = "remove it, and restore into a scratch directory to prove a backup"
_OTHER_TYPE = "it belongs to another type of replica; litefleet writes to NATS only: `type: nats`, `url` and `bucket`"

_CONNECTION = (
    "username password token nkey jwt seed creds tls root-cas client-cert client-key max-reconnects reconnect-wait "
    "timeout sync-interval inbox-prefix"
)
_OTHER_TYPES = (
    "access-key-id secret-access-key region endpoint force-path-style sign-payload require-content-md5 skip-verify "
    "storage-class part-size concurrency sse-customer-algorithm sse-customer-key sse-customer-key-path sse-kms-key-id "
    "sign-accept-encoding account-name account-key sas-token host user key-path concurrent-writes host-key webdav-url "
    "webdav-username webdav-password"
)

REPLICA = Level(
    "a database's `replica`",
    frozenset({"type", "url", "bucket", "path", *_CONNECTION.split()}),
    {
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

#: Keys of an entry of `dbs` that mean nothing without `dir`.
DIRECTORY_ONLY = ("pattern", "recursive", "watch")

DATABASE = Level(
    "an entry of `dbs`",
    frozenset(
        {
            "path",
            "dir",
            *DIRECTORY_ONLY,
            "monitor-interval",
            "checkpoint-interval",
            "busy-timeout",
            "min-checkpoint-page-count",
            "max-sync-wal-bytes",
            "wal-limit",
            "restore-if-db-not-exists",
            "replica",
            "replicas",
        }
    ),
    {
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
    frozenset(
        {
            "dbs",
            "logging",
            "snapshot",
            "levels",
            "l0-retention",
            "retention",
            "shutdown-sync-timeout",
            "addr",
            "socket",
            "spool",
            "max-open",
            "identity",
        }
    )
    | (REPLICA.known - {"path"}),
    {
        **REPLICA.unsupported,
        "mcp-addr": "remove it",
        "exec": "start the application as a service of its own",
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

SOCKET = Level("`socket`", frozenset({"enabled", "path", "permissions"}), {})

SPOOL = Level("`spool`", frozenset({"path", "limit"}), {})

SNAPSHOT = Level("`snapshot`", frozenset({"interval", "retention"}), {})

RETENTION = Level("`retention`", frozenset({"enabled"}), {})

COMPACTION = Level("an entry of `levels`", frozenset({"interval"}), {})

#: In the order in which a misplaced key is looked for; the top level takes replica settings too, so it comes late.
_LEVELS_BY_NEED = (REPLICA, DATABASE, TOP, LOGGING, SOCKET, SPOOL, SNAPSHOT, RETENTION, COMPACTION)


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


def part(section: Section, key: str, level: Level) -> Section | None:
    """The mapping under ``key``, its keys checked; None if it is not there, or is none."""
    entry = section.get(key)
    found = entry.section() if entry else None
    if found is not None:
        check_keys(found, level)
    return found
