"""What is wrong with a file is said with its line, its key and what to do; all of it at once, and no secret."""

from __future__ import annotations

import nkeys
import pytest

from litefleet.config import parse
from litefleet.errors import ConfigError
from tests.support.operator import Key

SECRET = "hunter2-S3cret"
SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
#: The JWT of a user with another seed.
OTHERS = Key(nkeys.PREFIX_BYTE_ACCOUNT).jwt(Key(nkeys.PREFIX_BYTE_USER).public, {"type": "user"})


def problems(text: str, **environ: str) -> list[str]:
    """The lines of the ConfigError that ``text`` must give."""
    with pytest.raises(ConfigError) as caught:
        parse(text, source="f.yml", environ=environ)
    lines = str(caught.value).splitlines()
    if len(lines) > 1:
        assert lines.pop(0) == f"{len(lines)} problems in the configuration"
    return lines


def replica(body: str, top: str = "") -> str:
    """A file whose replica is the flow mapping ``{url: nats://h, bucket: b, <body>}``."""
    return f"{top}\ndbs: [{{path: /a.db, replica: {{url: 'nats://h', bucket: b, {body}}}}}]\n"


def bare(body: str) -> str:
    """A file whose replica is ``{<body>}``."""
    return f"dbs: [{{path: /a.db, replica: {{{body}}}}}]"


def database(body: str) -> str:
    """A file whose database has ``body`` besides its path and replica."""
    return f"dbs: [{{path: /a.db, replica: {{url: 'nats://h', bucket: b}}, {body}}}]"


def directory(body: str, entry: str = "dir: /d, pattern: '*.db'", *, url: str = "nats://h/b") -> str:
    """A file with an entry for a directory whose replica is ``{url: <url>, <body>}``."""
    return f"dbs: [{{{entry}, replica: {{url: '{url}', {body}}}}}]"


def test_all_problems_are_reported_together_with_their_lines() -> None:
    text = """\
dbs:
  - path: /data/app.db
    replica:
      type: nats
      url: nats://localhost:4222
      bucket: backups
      max-reconects: 5
      timeout: 10
  - path: /data/other.db
    retention: 24h
    replica:
      url: nats://localhost:4222
loging: {level: info}
"""
    assert problems(text) == [
        "f.yml:7: dbs[0].replica.max-reconects: unknown key; did you mean max-reconnects?",
        "f.yml:8: dbs[0].replica.timeout: a time needs a unit; write for example `30s`, `5m` or `500ms`",
        "f.yml:10: dbs[1].retention: unknown key; it belongs in the top level",
        "f.yml:11: dbs[1].replica: `bucket` is missing; name the object store bucket of this database",
        "f.yml:13: loging: unknown key; did you mean logging?",
    ]


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        # The file as a whole
        ("", "", "is empty; list the databases"),
        ("# nothing\n", "", "is empty; list the databases"),
        ("[]", "", "must be a mapping"),
        ("logging: {level: info}", "", "`dbs` is missing"),
        ("dbs: []", "dbs", "is empty: there is nothing to protect"),
        ("dbs:", "dbs", "must be a list"),
        ("dbs: {path: /a.db}", "dbs", "must be a list"),
        ("dbs: [/a.db]", "dbs[0]", "must be a mapping"),
        ("dbs: [{? [a] : 1}]", "dbs[0]", "a key must be a word"),
        ("a: {<<: 1}", "a", "unknown key"),
        ("<<: 1", "", "`<<` must name a mapping"),
        ("&a\n<<: *a", "", "`<<` must name a mapping"),
        (f"a: &a {{<<: [{', '.join(['*a'] * 30)}]}}\n<<: *a", "", "neither itself nor very many"),
        ("dbs: [1", "", "not valid YAML: expected ',' or ']', but got '<stream end>'; look for"),
        ("dbs: *xy", "", "not valid YAML: found undefined alias; look for"),
        ("--- {}\n--- {}", "", "not valid YAML"),
        ("dbs: \a", "", "a character that YAML does not allow"),
        ('dbs: "\\U99999999"', "", "a character that YAML does not allow"),
        (f"%YAML 1.{'9' * 5000}\n---\ndbs: []", "", "not valid YAML"),
        ('dbs: [{path: "/\\ud800"}]', "dbs[0].path", "has an escape that stands for no character"),
        # Levels above the databases
        (replica("", "logging: {level: trace}"), "logging.level", "must be one of `debug`, `info`, `warn`, `error`"),
        (replica("", "logging: {type: pretty}"), "logging.type", "must be one of `text`, `json`"),
        (replica("", "logging:"), "logging", "is empty; give it keys or remove it"),
        (replica("", "snapshot: {interval: 0s}"), "snapshot.interval", "must be more than zero"),
        (replica("", "snapshot: {retention: 1}"), "snapshot.retention", "unit"),
        (replica("", "snapshot: {retention: 1h}\nl0-retention: 2h"), "l0-retention", "recovery window"),
        (
            replica("", "snapshot: {retention: 29s}\nl0-retention: 1s"),
            "snapshot.retention",
            "the first level's interval",
        ),
        (replica("", "levels: [{interval: 25h}]"), "levels", "the first level's interval"),
        (replica("", "levels: [{interval: 1m}, {interval: 1m}]"), "levels", "longer from level to level"),
        (replica("", "levels: []"), "levels", "1 to 8"),
        (replica("", "levels: [{}]"), "levels[0]", "`interval` is missing"),
        (replica("", "levels: [{interval: 1m, count: 3}]"), "levels[0].count", "unknown key"),
        (replica("", "retention: {enabled: 1}"), "retention.enabled", "true"),
        (replica("", "shutdown-sync-timeout: 30"), "shutdown-sync-timeout", "needs a unit"),
        (replica("", "timeout: 5x"), "timeout", "is not a time"),
        # Databases
        (database("busy-timeout: -1s"), "dbs[0].busy-timeout", "must not be negative"),
        (database("monitor-interval: 0"), "dbs[0].monitor-interval", "must be more than zero"),
        (database("checkpoint-interval: 1d"), "dbs[0].checkpoint-interval", "days and weeks"),
        (database("min-checkpoint-page-count: 0"), "dbs[0].min-checkpoint-page-count", "must be 1 or more"),
        (database("min-checkpoint-page-count: '9'"), "dbs[0].min-checkpoint-page-count", "without quotes"),
        (database("min-checkpoint-page-count: 010"), "dbs[0].min-checkpoint-page-count", "decimal digits"),
        (database("max-sync-wal-bytes: 0"), "dbs[0].max-sync-wal-bytes", "must be 1 bytes or more"),
        (database("max-sync-wal-bytes: 64 megs"), "dbs[0].max-sync-wal-bytes", "is not a size"),
        (database("restore-if-db-not-exists: 1"), "dbs[0].restore-if-db-not-exists", "must be true or false"),
        (database("restore-if-db-not-exists: 'true'"), "dbs[0].restore-if-db-not-exists", "without quotes"),
        (database("bucket: b"), "dbs[0].bucket", "unknown key; it belongs in a database's `replica`"),
        (database("replicas: [{}]"), "dbs[0].replicas", "is given beside `replica`"),
        (database("path: /b.db"), "dbs[0].path", "is given twice, first in line 1"),
        ("dbs: [{path: /a.db, replicas: []}]", "dbs[0].replicas", "has 0 replicas"),
        ("dbs: [{path: /a.db, replicas: [{}, {}]}]", "dbs[0].replicas", "has 2 replicas"),
        ("dbs: [{path: /a.db}]", "dbs[0]", "`replica` is missing"),
        ("dbs: [{path: /a.db, replica: }]", "dbs[0].replica", "is empty; give it keys"),
        ("dbs: [{replica: {url: 'nats://h', bucket: b}}]", "dbs[0]", "`path` is missing"),
        ("dbs: [{path: , replica: {url: 'nats://h', bucket: b}}]", "dbs[0].path", "is empty; give it a value"),
        ("dbs: [{path: 'sqlite://', replica: {url: 'nats://h/b'}}]", "dbs[0].path", "names no file"),
        ("dbs: [{path: ':memory:', replica: {url: 'nats://h/b'}}]", "dbs[0].path", "is a name for SQLite"),
        ('dbs: [{path: "/a\\0", replica: {url: "nats://h/b"}}]', "dbs[0].path", "has a control character"),
        ("dbs: [{path: [a], replica: {url: 'nats://h/b'}}]", "dbs[0].path", "must be text, not a list"),
        (database("wal-limit: 0"), "dbs[0].wal-limit", "must be 1 bytes or more"),
        (database("wal-limit: 512KiB"), "dbs[0].wal-limit", "less than a WAL of `min-checkpoint-page-count` frames"),
        (database("min-checkpoint-page-count: 2000000"), "dbs[0].min-checkpoint-page-count", "raise `wal-limit`"),
        (database("meta-path: /x"), "dbs[0].meta-path", "no files are kept beside the database"),
        (database("pattern: '*'"), "dbs[0].pattern", "goes with `dir`, not with `path`"),
        (database("watch: true"), "dbs[0].watch", "goes with `dir`, not with `path`"),
        (database("dir: /data"), "dbs[0].dir", "is given beside `path`"),
        # Directories
        (directory("", "dir: /d"), "dbs[0].dir", "`pattern` is missing beside it"),
        (directory("", "dir: 'file:x', pattern: x"), "dbs[0].dir", "is no directory"),
        (directory("", "dir: /d, pattern: 'a/*.db'"), "dbs[0].pattern", "has a `/`"),
        (directory("", "dir: /d, pattern: x, recursive: 1"), "dbs[0].recursive", "must be true or false"),
        (
            directory("", "dir: /d, pattern: x, restore-if-db-not-exists: true"),
            "dbs[0].restore-if-db-not-exists",
            "dir",
        ),
        (directory("", "dir: /d, pattern: x, meta-dir: /x"), "dbs[0].meta-dir", "no files are kept"),
        (directory("path: 'x{nam}'"), "dbs[0].replica.path", "unknown placeholder; did you mean {name}?"),
        (directory("path: 'x{host}'"), "dbs[0].replica.path", "unknown placeholder; there are {name} and {relative}"),
        (directory("path: 'x{name'"), "dbs[0].replica.path", "has a `{` or `}` without the other"),
        (directory("path: 'x}'"), "dbs[0].replica.path", "has a `{` or `}` without the other"),
        (directory("path: {name}"), "dbs[0].replica.path", "in quotes"),
        (directory("path: 'a/../{name}'"), "dbs[0].replica.path", "empty part, `.` or `..`"),
        (directory("bucket: 'x{}'", url="nats://h"), "dbs[0].replica.bucket", "unknown placeholder"),
        (directory("bucket: 'x.{name}'", url="nats://h"), "dbs[0].replica.bucket", "A-Z a-z 0-9 - and _"),
        (directory("", url="nats://h/b{nam}"), "dbs[0].replica.url", "did you mean {name}?"),
        (directory("", url="nats://h/b/{nam}"), "dbs[0].replica.url", "did you mean {name}?"),
        (bare("url: 'nats://h/{name}'"), "dbs[0].replica.url", "A-Z a-z 0-9 - and _"),
        (bare("url: 'nats://h', bucket: '{name}'"), "dbs[0].replica.bucket", "placeholders are for entries with `dir`"),
        (replica("path: 'x/{name}'"), "dbs[0].replica.path", "placeholders are for entries with `dir`"),
        # Places in shared buckets
        (replica("path: a//b"), "dbs[0].replica.path", "empty part, `.` or `..`"),
        (replica("path: ./a"), "dbs[0].replica.path", "empty part, `.` or `..`"),
        (replica('path: "a\\nb"'), "dbs[0].replica.path", "has a control character"),
        (replica(f"path: {'x' * 1025}"), "dbs[0].replica.path", "longer than 1024 bytes"),
        (replica("path: "), "dbs[0].replica.path", "is empty"),
        (bare("url: 'nats://h/b/x', path: y"), "dbs[0].replica.path", "differs from what `url` has behind the bucket"),
        (replica("", "path: x"), "path", "unknown key; it belongs in a database's `replica`"),
        # The agent itself
        (replica("", "addr: 9090"), "addr", "is not HOST:PORT; write for example"),
        (replica("", "addr: ':0'"), "addr", "a number from 1 to 65535"),
        (replica("", "addr: 'h:65536'"), "addr", "a number from 1 to 65535"),
        (replica("", "addr: '::1:9090'"), "addr", "is not HOST:PORT"),
        (replica("", "addr: '[h]:9090'"), "addr", "no IPv6 address"),
        (replica("", "addr: 'a b:9090'"), "addr", "character in its host name"),
        (replica("", "socket: /run/x"), "socket", "must be a mapping"),
        (replica("", "socket: {enable: true}"), "socket.enable", "did you mean enabled?"),
        (replica("", "socket: {enabled: false, path: /x}"), "socket.path", "`enabled` is false"),
        (replica("", "socket: {permissions: 0666}"), "socket.permissions", "must be `0600`, or `0660`"),
        (replica("", "socket: {permissions: 0400}"), "socket.permissions", "must be `0600`, or `0660`"),
        (replica("", "socket: {permissions: 0700}"), "socket.permissions", "must be `0600`, or `0660`"),
        (replica("", "socket: {permissions: 384}"), "socket.permissions", "is not an octal mode"),
        (replica("", "socket: {permissions: rw}"), "socket.permissions", "is not an octal mode"),
        (replica("", "spool: {limit: 1KiB}"), "spool.limit", "must be 65536 bytes or more"),
        (replica("", "spool: {size: 1GiB}"), "spool.size", "unknown key"),
        (replica("", "max-open: 0"), "max-open", "must be 1 or more"),
        (replica("", "identity: [a]"), "identity", "must be text, not a list"),
        # Where the copies go
        (bare("type: s3, bucket: b, region: x"), "dbs[0].replica.type", "replica type `s3` is not supported"),
        (bare("url: 's3://b/x'"), "dbs[0].replica.url", "replica type `s3` is not supported"),
        (bare("url: /backup"), "dbs[0].replica.url", "replica type `file` is not supported"),
        (bare("url: 'nat://h/b'"), "dbs[0].replica.url", "has an unknown scheme"),
        (bare("url: 'ws://h/b'"), "dbs[0].replica.url", "websocket is not supported"),
        (bare("url: 'h:4222', bucket: b"), "dbs[0].replica.url", "has no scheme"),
        (bare("url: [], bucket: b"), "dbs[0].replica.url", "is an empty list"),
        (bare("url: {a: b}, bucket: b"), "dbs[0].replica.url", "must be text, not a mapping"),
        (bare("url: 'nats://h'"), "dbs[0].replica", "`bucket` is missing"),
        (bare("type: nats, bucket: b"), "dbs[0].replica", "`url` is missing"),
        (bare("url: 'nats://h/b', bucket: c"), "dbs[0].replica.bucket", "is `c`, but `url` names bucket `b`"),
        (bare("url: 'nats://h', bucket: a.b"), "dbs[0].replica.bucket", "A-Z a-z 0-9 - and _"),
        (bare("url: 'nats://h', bucket: ''"), "dbs[0].replica.bucket", "is empty"),
        (replica("access-key-id: x"), "dbs[0].replica.access-key-id", "another type of replica"),
        (replica("max_reconnects: 1"), "dbs[0].replica.max_reconnects", "did you mean max-reconnects?"),
        (replica("max-reconnects: -2"), "dbs[0].replica.max-reconnects", "must be -1 or more"),
        (replica("timeout: 0s"), "dbs[0].replica.timeout", "must be more than zero"),
        (replica("inbox-prefix: 'a.>'"), "dbs[0].replica.inbox-prefix", "beginning of a NATS subject"),
        (replica("inbox-prefix: 'a b'"), "dbs[0].replica.inbox-prefix", "beginning of a NATS subject"),
        (replica("inbox-prefix: 'a.'"), "dbs[0].replica.inbox-prefix", "beginning of a NATS subject"),
        # TLS
        (replica("tls: 1"), "dbs[0].replica.tls", "must be true or false"),
        (replica("tls: false, root-cas: [/ca]"), "dbs[0].replica.tls", "is false, but `root-cas` is given"),
        (replica("", "tls: false\nroot-cas: [/ca]"), "tls", "is false, but `root-cas` is given"),
        (replica("root-cas: []"), "dbs[0].replica.root-cas", "is an empty list"),
        (bare("url: 'tls://h/b', tls: false"), "dbs[0].replica.tls", "is false, but `url` says tls://"),
        (bare("tls: false, bucket: b") + "\nurl: tls://h", "dbs[0].replica.tls", "is false, but `url` says tls://"),
        ("url: tls://h\ntls: false\n" + bare("bucket: b"), "tls", "is false, but `url` says tls://"),
        (replica("tls: false, client-cert: /c, client-key: /k"), "dbs[0].replica.tls", "but `client-cert` is given"),
        (replica("client-cert: /c"), "dbs[0].replica.client-cert", "is given without `client-key`; give both"),
        (replica("client-key: /c"), "dbs[0].replica.client-key", "is given without `client-cert`; give both"),
        # Credentials
        (replica("username: u"), "dbs[0].replica.username", "is given without `password`"),
        (replica("password: p"), "dbs[0].replica.password", "is given without `username`"),
        (
            replica("token: t, creds: /c"),
            "dbs[0].replica.token",
            "more than one kind of credentials: `token` and `creds`",
        ),
        (bare("url: 'nats://u:p@h/b', token: t"), "dbs[0].replica.url", "more than one kind"),
        (bare("url: 'nats://u:p@h/b', username: x, password: p"), "dbs[0].replica.username", "differs from the user"),
        (replica("nkey: SUA"), "dbs[0].replica.nkey", "no valid nkey seed"),
        (replica("jwt: a.b.c"), "dbs[0].replica.jwt", "is given without `seed`; give both, or one file with `creds`"),
        (replica(f"seed: {SEED}"), "dbs[0].replica.seed", "is given without `jwt`"),
        (replica(f"jwt: a.b.c, seed: {SEED}"), "dbs[0].replica.jwt", "is no JWT of a user"),
        (replica(f"jwt: a.IiI.c, seed: {SEED}"), "dbs[0].replica.jwt", "is no JWT of a user"),
        (replica(f"jwt: {OTHERS}, seed: {SEED}"), "dbs[0].replica.jwt", "is not about the user whose seed `seed` is"),
        (replica("jwt: a.b.c, seed: SUA"), "dbs[0].replica.seed", "no valid nkey seed"),
        (replica("jwt: a.b.c, seed: x, token: t"), "dbs[0].replica.token", "`token` and `jwt`/`seed`"),
        (replica("token: !vault x"), "dbs[0].replica.token", "has a YAML tag"),
    ],
)
def test_mistake_is_named_with_its_key(text: str, key: str, what: str) -> None:
    assert any(
        line.startswith("f.yml:") and (f": {key}: " if key else "") in line and what in line for line in problems(text)
    ), problems(text)


@pytest.mark.parametrize("key", ["exec", "verify-compaction", "validation", "heartbeat-url", "mcp-addr"])
def test_top_level_key_of_litestream_without_a_meaning_here_is_refused_by_name(key: str) -> None:
    (line,) = problems(replica("", f"{key}: x"))
    assert line.startswith(f"f.yml:1: {key}: not supported yet: `{key}`; ")


def test_two_entries_for_one_database_are_refused() -> None:
    text = "dbs: [{path: /a.db, replica: {url: 'nats://h/b'}}, {path: /x/../a.db, replica: {url: 'nats://h/c'}}]"
    (line,) = problems(text)
    assert "dbs[1]: is the same database as dbs[0] (/a.db)" in line


@pytest.mark.parametrize("second", ["nats://h2:4222,nats://h1", "nats://h3", "nats://H1:4222", "nats://other:pw@h1"])
def test_two_databases_in_one_bucket_are_refused(second: str) -> None:
    first = "{path: /a, replica: {url: 'nats://h1,h3/b'}}"
    text = f"dbs: [{first}, {{path: /c, replica: {{url: '{second}', bucket: b}}}}]"
    (line,) = problems(text)
    assert line == (
        "f.yml:1: dbs[1]: has the same bucket `b` on the same servers as dbs[0]; each database needs its own bucket, "
        "or its own `path`"
    )


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ("x", "x", "has the same path `x` in the same bucket `b` on the same servers as dbs[0]"),
        ("x", "x/y", "goes to path `x/y` of bucket `b`, dbs[0] goes to path `x` of it, and one holds the other"),
        ("x/y", "x", "goes to path `x` of bucket `b`, dbs[0] goes to path `x/y` of it"),
        ("/", "x", "goes to path `x` of bucket `b`, dbs[0] goes to the root of it"),
        ("x", "/", "goes to the root of bucket `b`, dbs[0] goes to path `x` of it"),
    ],
)
def test_two_databases_of_which_one_place_holds_the_other_are_refused(first: str, second: str, what: str) -> None:
    replicas = (
        f"{{path: {file}, replica: {{url: 'nats://h/b', path: {path}}}}}"
        for file, path in (("/a.db", first), ("/b.db", second))
    )
    (line,) = problems(f"dbs: [{', '.join(replicas)}]")
    assert f"dbs[1]: {what}" in line


def test_databases_beside_each_other_in_one_bucket_are_accepted() -> None:
    text = "dbs: [{path: /a, replica: {url: 'nats://h/b/x/y'}}, {path: /c, replica: {url: 'nats://h/b/x/yz'}}]"
    assert len(parse(text, source="f.yml", environ={}).databases) == 2


def test_the_same_directory_twice_is_refused_unless_the_pattern_differs() -> None:
    entries = (
        f"{{dir: /d, pattern: '{pattern}', replica: {{url: 'nats://h/b', path: '{path}/{{name}}'}}}}"
        for pattern, path in ("ax", "ay", "bz")
    )
    (line,) = problems(f"dbs: [{', '.join(entries)}]")
    assert "dbs[1]: is the same directory as dbs[0] (/d)" in line


def test_same_bucket_name_on_another_server_is_another_bucket() -> None:
    text = "dbs: [{path: /a, replica: {url: 'nats://h1/b'}}, {path: /c, replica: {url: 'nats://h2/b'}}]"
    assert len(parse(text, source="f.yml", environ={}).databases) == 2


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(replica(f"password: {SECRET}"), id="no username"),
        pytest.param(replica(f"username: u, password: {SECRET}, token: {SECRET}"), id="two kinds"),
        pytest.param(replica(f"nkey: {SECRET}"), id="bad seed"),
        pytest.param(replica(f"pasword: {SECRET}"), id="misspelt key"),
        pytest.param(replica(f"seed: {SECRET}"), id="seed without a JWT"),
        pytest.param(replica(f"seed: {SEED}, jwt: {SECRET}"), id="bad JWT"),
        pytest.param(replica(f"seed: {SEED}, jwt: {SECRET}.{SECRET}.{SECRET}"), id="JWT of nobody"),
        pytest.param(replica(f"age: {SECRET}"), id="key that is not supported"),
        pytest.param(replica(f"password: !{SECRET} x, username: u"), id="read as a YAML tag"),
        pytest.param(replica(f"password: !{SECRET}!x x"), id="read as a YAML tag handle"),
        pytest.param(replica(f"password: *{SECRET}"), id="read as a YAML alias"),
        pytest.param(replica(f"username: u, password: x${SECRET}"), id="read as a variable"),
        pytest.param(bare(f"url: 'nats://u:{SECRET}/x@h/b'"), id="slash in a password"),
        pytest.param(bare(f"url: 'nats://u:x,{SECRET}@h/b'"), id="comma in a password"),
        pytest.param(bare(f"url: 'nats://u:{SECRET},x@h/b'"), id="half a password as a port"),
        pytest.param(bare(f"url: 'nats://u:{SECRET}?@h/b'"), id="question mark in a password"),
        pytest.param(bare(f"url: 'nats://u:{SECRET}%@h/b'"), id="percent in a password"),
        pytest.param(bare(f"url: 'nats://u:{SECRET}@h:x/b'"), id="bad port"),
        pytest.param(bare(f"url: 'nats://u:{SECRET}@h', bucket: b, password: other"), id="two passwords"),
        pytest.param(bare(f"url: '{SECRET}://h/b'"), id="scheme"),
        pytest.param(replica(f"timeout: {SECRET}"), id="secret where a time belongs"),
        pytest.param(replica(f"max-reconnects: {SECRET}"), id="secret where a number belongs"),
        pytest.param(replica(f"tls: {SECRET}"), id="secret where a boolean belongs"),
        pytest.param(f"password: '{SECRET}\ndbs: []", id="missing quote"),
        pytest.param(f"password: a: {SECRET}", id="colon in a value"),
        pytest.param(f"password: &{SECRET} x\na: &{SECRET} y", id="read as an anchor twice"),
    ],
)
def test_no_message_repeats_a_secret(text: str) -> None:
    said = "\n".join(problems(text))
    assert SECRET not in said
    assert "hunter2" not in said


def test_problem_of_a_default_is_reported_once_for_all_databases() -> None:
    text = "url: nats://h\ntimeout: 5\ndbs: [{path: /a, replica: {bucket: a}}, {path: /b, replica: {bucket: b}}]"
    assert problems(text) == ["f.yml:2: timeout: a time needs a unit; write for example `30s`, `5m` or `500ms`"]


def test_yaml_that_nests_without_end_is_refused() -> None:
    assert "not valid YAML" in problems("[" * 100_000)[0]
