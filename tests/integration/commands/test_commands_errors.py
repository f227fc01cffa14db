"""Whatever goes wrong: the documented exit code, one line with cause and remedy, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from litefleet.ltx import Decoder, encode
from tests.integration.commands.conftest import Backup, object_name
from tests.support import agent
from tests.support.natsserver import NatsServer, free_ports, nats_server
from tests.support.running import make_bucket
from tests.support.sqlitewriter import Writer, run_sql

PASSWORD = "pw-7f3a91"
WRONG = "pw-wrong-55d0"
QUIET = {"logging": {"level": "error"}}


def files(directory: Path) -> list[tuple[str, bytes]]:
    """Everything below a directory."""
    return sorted((str(p.relative_to(directory)), p.read_bytes()) for p in directory.rglob("*") if p.is_file())


def check(done: agent.Finished, code: int, *words: str) -> None:
    """The bar for every error."""
    assert done.code == code, done
    assert done.out == ""
    assert "Traceback" not in done.err
    assert done.err.startswith("litefleet: "), done.err
    assert done.err.count("\n") == 1 == len(done.err.splitlines()), done.err
    assert PASSWORD not in done.err
    assert WRONG not in done.err
    for word in words:
        assert word in done.err, f"{word!r} is not in {done.err!r}"


@dataclass(frozen=True)
class Damage:
    name: str
    object: str
    change: Callable[[agent.StoredObject], None]
    words: list[str]


@dataclass(frozen=True)
class Case:
    name: str
    config: str
    code: int
    #: For each problem, what its line must have: place, cause, remedy.
    problems: list[list[str]]


GOOD = "{type: nats, url: nats://127.0.0.1:4222, bucket: b%s}"
CONFIGS = [
    Case("empty", "", 2, [["dbs"]]),
    Case("not-yaml", "dbs: [", 2, [["litefleet.yml"]]),
    Case("tab", "dbs:\n\t- path: /a", 2, [["litefleet.yml:2"]]),
    Case(
        "unknown-key",
        f"dbs: [{{path: /a.db, replica: {GOOD % ', buckett: c'}}}]",
        2,
        [["litefleet.yml:1", "dbs[0].replica", "buckett", "bucket"]],
    ),
    Case(
        "contradictory-credentials",
        f"dbs: [{{path: /a.db, replica: {GOOD % f', token: {PASSWORD}, username: u, password: {PASSWORD}'}}}]",
        2,
        [["dbs[0].replica", "token", "username"]],
    ),
    Case(
        "several",
        "dbs:\n- path: a.db\n  replica: {type: s3, bucket: b}\n- {path: /b.db}\nloging: {level: debug}\n",
        2,
        [["litefleet.yml:3", "s3"], ["dbs[1]", "replica"], ["loging", "logging"]],
    ),
]


@pytest.mark.parametrize("command", [["check-config"], ["replicate", "--once", "--config"], ["databases", "--config"]])
@pytest.mark.parametrize("case", CONFIGS, ids=lambda case: case.name)
def test_a_wrong_configuration(tmp_path: Path, command: list[str], case: Case) -> None:
    config = tmp_path / "litefleet.yml"
    config.write_text(case.config)
    config.chmod(0o600)
    done = agent.run(*command, config)
    assert done.code == case.code
    assert done.out == ""
    assert PASSWORD not in done.err
    lines = done.err.splitlines()
    if len(case.problems) > 1:
        assert lines.pop(0) == f"litefleet: {len(lines)} problems in the configuration"
    assert len(lines) == len(case.problems), done.err
    for line, words in zip(lines, case.problems, strict=True):
        assert all(word in line for word in words), done.err
    assert [name for name, _ in files(tmp_path)] == ["litefleet.yml"]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server with one user."""
    users = {"users": [{"user": "app", "password": PASSWORD}]}
    with nats_server({"authorization": users}, store_dir=tmp_path_factory.mktemp("locked")) as running:
        yield running


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server whose certificate nobody trusts."""
    directory = tmp_path_factory.mktemp("encrypted")
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    tls = {"cert_file": str(directory / "cert.pem"), "key_file": str(directory / "key.pem")}
    with nats_server({"tls": tls}, store_dir=directory) as running:
        yield running


class TestTheServer:
    """Every command that talks to it says the same."""

    @pytest.fixture(params=["restore", "ltx", "replicate"])
    def attempt(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
        """Run the command against a replica, and require that it fails as it should, leaving all as it was."""

        def run(replica: dict[str, Any], code: int, *words: str) -> None:
            database = tmp_path / "app.db"
            run_sql(database, "CREATE TABLE t (b)")
            config = agent.write_config(tmp_path / "litefleet.yml", [(database, {"timeout": "3s", **replica})], **QUIET)
            before = files(tmp_path)
            arguments: dict[str, list[str | Path]] = {
                "restore": ["restore", "--config", config, database, "-o", tmp_path / "out.db"],
                "ltx": ["ltx", "--config", config, database],
                "replicate": ["replicate", "--once", "--config", config],
            }
            check(agent.run(*arguments[str(request.param)]), code, *words)
            assert files(tmp_path) == before

        return run

    def test_a_missing_bucket(self, attempt: Callable[..., None], backup: Backup) -> None:
        attempt({"url": backup.server.url, "bucket": "nowhere"}, 4, "`nowhere`", backup.server.url, "buckets.yml")

    def test_a_stream_that_is_no_object_store(self, attempt: Callable[..., None], backup: Backup) -> None:
        attempt({"url": backup.server.url, "bucket": "nowhere.else"}, 2, "bucket")

    def test_nobody_there(self, attempt: Callable[..., None]) -> None:
        url = f"nats://127.0.0.1:{free_ports(1)[0]}"
        attempt({"url": url, "bucket": "b"}, 3, url, "Connection refused", "check that nats-server is running")

    def test_an_unknown_host(self, attempt: Callable[..., None]) -> None:
        attempt({"url": "nats://no-such-host.invalid:4222", "bucket": "b"}, 3, "no-such-host.invalid", "check")

    def test_a_wrong_password(self, attempt: Callable[..., None], locked: NatsServer) -> None:
        login = {"username": "app", "password": WRONG}
        attempt({"url": locked.url, "bucket": "b", **login}, 3, locked.url, "Authorization violation", "`password`")

    def test_no_login_at_all(self, attempt: Callable[..., None], locked: NatsServer) -> None:
        attempt({"url": locked.url, "bucket": "b"}, 3, locked.url, "Authorization violation", "set `username`")

    def test_an_untrusted_certificate(self, attempt: Callable[..., None], encrypted: NatsServer) -> None:
        replica = {"url": encrypted.url.replace("nats:", "tls:"), "bucket": "b"}
        attempt(replica, 3, f"127.0.0.1:{encrypted.port}", "not trusted", "root-cas")

    def test_a_server_that_does_not_encrypt(self, attempt: Callable[..., None], backup: Backup) -> None:
        attempt({"url": backup.server.url, "bucket": "app", "tls": True}, 3, "does not encrypt", "`tls`")

    def test_something_else_that_answers(self, attempt: Callable[..., None], backup: Backup) -> None:
        url = backup.server.monitor_url.replace("http:", "nats:")
        attempt({"url": url, "bucket": "b"}, 3, url)


def test_a_password_in_a_url_is_not_repeated(locked: NatsServer, place: Path) -> None:
    url = f"nats://app:{WRONG}@127.0.0.1:{locked.port}/b"
    check(agent.run("restore", url, "-o", place / "out.db"), 3, "Authorization violation")
    assert files(place) == []


class TestTheDatabase:
    def replicate(self, directory: Path, backup: Backup, name: str) -> agent.Finished:
        replica = {"url": backup.server.url, "bucket": "app"}  # nothing gets as far as to write to it
        config = agent.write_config(directory / "litefleet.yml", [(directory / name, replica)], **QUIET)
        return agent.run("replicate", "--once", "--config", config)

    def test_unknown(self, backup: Backup, place: Path) -> None:
        done = agent.run("restore", "--config", backup.config, "/data/other.db", "-o", place / "out.db")
        check(done, 2, "/data/other.db", f"it has {backup.database}")
        assert files(place) == []

    def test_missing(self, backup: Backup, place: Path) -> None:
        check(self.replicate(place, backup, "app.db"), 6, "not found", "app.db", "`path:`")
        assert [name for name, _ in files(place)] == ["litefleet.yml"]

    def test_no_database(self, backup: Backup, place: Path) -> None:
        (place / "app.db").write_bytes(b"just some text, long enough")
        check(self.replicate(place, backup, "app.db"), 6, "Not a SQLite database", "app.db")
        assert [name for name, _ in files(place)] == ["app.db", "litefleet.yml"]

    def test_damaged(self, backup: Backup, place: Path) -> None:
        run_sql(place / "app.db", "CREATE TABLE t (b)")
        with (place / "app.db").open("r+b") as file:
            file.seek(16)
            file.write(b"\xff" * 84)
        check(self.replicate(place, backup, "app.db"), 6, "app.db", "damaged", "litefleet restore")

    def test_locked(self, backup: Backup, place: Path) -> None:
        with Writer(place / "app.db") as app:
            app.run("CREATE TABLE t (b)")
            app.run("PRAGMA locking_mode = exclusive")
            app.run("INSERT INTO t VALUES (1)")
            app.run("BEGIN EXCLUSIVE")
            check(self.replicate(place, backup, "app.db"), 6, "app.db", "locked", "busy-timeout")


def flip(at: float) -> Callable[[agent.StoredObject], None]:
    """One bit changes on the disk of the server; ``at`` is the place, as a share of the object."""

    def change(stored: agent.StoredObject) -> None:
        content = bytearray(stored.content)
        content[int(at * len(content))] ^= 1
        stored.chunks = [bytes(content)]
        stored.metadata["chunks"] = 1

    return change


def rewrite(change: Callable[[bytearray], None]) -> Callable[[agent.StoredObject], None]:
    """Other bytes, under a digest that fits."""

    def work(stored: agent.StoredObject) -> None:
        content = bytearray(stored.content)
        change(content)
        stored.replace(bytes(content))

    return work


def break_tree(stored: agent.StoredObject) -> None:
    """A valid LTX file of pages that are no database: the root page of the table has an impossible type."""
    decoder = Decoder("f")
    pages = decoder.feed(stored.content)
    header = decoder.close()
    broken = [(n, b"\x63" + page[1:] if n == 2 else page) for n, page in pages]
    stored.replace(b"".join(encode(header, broken)))


def other_page_size(stored: agent.StoredObject) -> None:
    """The same TXID from another database."""
    decoder = Decoder("f")
    decoder.feed(stored.content)
    fields = decoder.close()
    stored.replace(b"".join(encode(type(fields)(512, 1, fields.min_txid, fields.max_txid, 0), [(1, bytes(512))])))


def drop_chunk(stored: agent.StoredObject) -> None:
    stored.chunks = stored.chunks[:-1]


def flip_page(content: bytearray) -> None:
    content[len(content) // 2] ^= 0xFF


def flip_checksum(content: bytearray) -> None:
    content[-1] ^= 1


def no_ltx(content: bytearray) -> None:
    content[:4] = b"XXXX"


DAMAGES = [
    Damage("flipped-bit-first", object_name(1), flip(0.0), ["SHA-256 differs"]),
    Damage("flipped-bit-middle", object_name(2), flip(0.5), ["SHA-256 differs"]),
    Damage("flipped-bit-last", object_name(4), flip(0.999), ["SHA-256 differs"]),
    Damage("missing-chunk", object_name(3), drop_chunk, ["0 of its 1 chunks exist"]),
    Damage("wrong-page", object_name(1), rewrite(flip_page), ["restore an earlier point"]),
    Damage("wrong-checksum", object_name(2), rewrite(flip_checksum), ["checksum", "restore an earlier point"]),
    Damage("no-ltx", object_name(3), rewrite(no_ltx), ["not an LTX file", "restore an earlier point"]),
    Damage("cut", object_name(4), rewrite(lambda content: content.__delitem__(slice(-9, None))), ["index and trailer"]),
    Damage("empty", object_name(2), lambda stored: stored.replace(b""), ["in the middle"]),
    Damage("other-page-size", object_name(3), other_page_size, ["pages of 512 bytes", "restore an earlier point"]),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_a_damaged_object_is_never_part_of_a_database(
    backup: Backup, copied: Callable[[], str], place: Path, damage: Damage
) -> None:
    bucket = copied()
    agent.change_object(backup.server.url, bucket, damage.object, damage.change)
    (place / "out.db").write_bytes(b"before")
    run: list[str | Path] = ["restore", f"{backup.server.url}/{bucket}", "-o", place / "out.db", "--force"]
    check(agent.run(*run), 5, damage.object, *damage.words)
    assert files(place) == [("out.db", b"before")]
    txid = int(damage.object[6:22], 16)
    if txid > 1:
        assert agent.run(*run, "-txid", f"{txid - 1:016x}").code == 0
        assert files(place) == [("out.db", backup.states[txid - 1])]


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_a_database_that_fails_the_check_is_not_put_in_place(
    backup: Backup, copied: Callable[[], str], place: Path, mode: str
) -> None:
    bucket = copied()
    agent.change_object(backup.server.url, bucket, object_name(4), break_tree)
    url = f"{backup.server.url}/{bucket}"
    done = agent.run("restore", url, "-o", place / "out.db", "--integrity-check", mode)
    check(done, 7, "fails", "restore an earlier point")
    assert files(place) == []
    assert agent.run("restore", url, "-o", place / "out.db", "-integrity-check", mode, "-txid", f"{3:016x}").code == 0


def test_a_gap(backup: Backup, copied: Callable[[], str], place: Path) -> None:
    bucket = copied()
    agent.change_object(backup.server.url, bucket, object_name(3), agent.StoredObject.remove)
    url = f"{backup.server.url}/{bucket}"
    words = [url, f"{3:016x} is missing", f"--txid {2:016x}"]
    check(agent.run("restore", url, "-o", place / "out.db"), 7, *words)
    check(agent.run("restore", url, "-o", place / "out.db", "--dry-run"), 7, *words)
    check(
        agent.run("restore", url, "-o", place / "out.db", "-txid", f"{4:016x}"), 7, f"{4:016x}", "before it are missing"
    )
    assert files(place) == []
    assert agent.run("restore", url, "-o", place / "out.db", "-txid", f"{2:016x}").code == 0
    assert files(place) == [("out.db", backup.states[2])]


def test_no_backup(backup: Backup, place: Path) -> None:
    make_bucket(backup.server.url, "empty")
    url = f"{backup.server.url}/empty"
    check(agent.run("restore", url, "-o", place / "out.db"), 7, url, "no backup", "litefleet replicate")
    assert files(place) == []


def test_no_such_point(backup: Backup, place: Path) -> None:
    run: list[str | Path] = ["restore", backup.url, "-o", place / "out.db"]
    check(agent.run(*run, "-txid", f"{9:016x}"), 7, f"{9:016x}", f"the newest is {4:016x}", "litefleet history")
    check(agent.run(*run, "-timestamp", "2001-01-01T00:00:00Z"), 7, "2001-01-01T00:00:00Z", "later time")
    assert files(place) == []


def test_no_directory_for_the_output(backup: Backup, place: Path) -> None:
    check(agent.run("restore", backup.url, "-o", place / "no/out.db"), 7, f"{place}/no", "create it")
    (place / "file").write_bytes(b"x")
    check(agent.run("restore", backup.url, "-o", place / "file/out.db"), 7, f"{place}/file")
    check(agent.run("restore", backup.url, "-o", place / ("x" * 300)), 7, "File name too long")
    assert files(place) == [("file", b"x")]


def test_standard_output_that_is_full(backup: Backup) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*agent.command(), "ltx", backup.url], check=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"No space left" in done.stderr


class TestStatus:
    """It reports on every database, whatever is wrong with one."""

    def test_each_row_has_its_trouble_and_the_exit_code_is_1(self, backup: Backup, tmp_path: Path) -> None:
        url = backup.server.url
        nobody = f"nats://127.0.0.1:{free_ports(1)[0]}"
        make_bucket(url, "none")
        replicas = {"a": (url, "nowhere"), "b": (nobody, "x"), "c": (url, "none")}
        config = agent.write_config(
            tmp_path / "litefleet.yml",
            [(backup.database, {"url": url, "bucket": "app"})]
            + [(tmp_path / name, {"url": where, "bucket": bucket}) for name, (where, bucket) in replicas.items()],
        )
        done = agent.run("status", "--config", config, "--json")
        assert (done.code, done.err) == (1, "")
        rows = {Path(row["database"]).name: row for row in json.loads(done.out)}
        assert {name: row["status"] for name, row in rows.items()} == {
            "app.db": "ok", "a": "unreachable", "b": "unreachable", "c": "no backup",
        }  # fmt: skip
        assert "`nowhere`" in rows["a"]["detail"]
        assert "Connection refused" in rows["b"]["detail"]
        text = agent.run("status", "--config", config)
        assert (text.code, text.err, len(text.out.splitlines())) == (1, "", 5)
        assert agent.run("status", "--config", config, backup.database).code == 0
