"""Who keeps a WAL from being reused is named, as the system itself tells it; real processes hold the locks."""

from __future__ import annotations

import os
import pwd
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.sqlite.holders import Holder, Lock, held, holders, parse_locks, sentence
from litefleet.wal import INDEX_SIZE
from tests.support.sqlitewriter import Writer

#: An application that does what it is told to, one line at a time, and keeps it until the next.
APPLICATION = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
print("open", flush=True)
for line in sys.stdin:
    connection.execute(line).fetchall()
    print("done", flush=True)
"""


class Application:
    """One connection in a process of its own."""

    def __init__(self, database: Path, script: Path | None = None) -> None:
        arguments = ["-c", APPLICATION]
        if script is not None:
            script.write_text(APPLICATION)
            arguments = [str(script)]
        self.process = subprocess.Popen(
            [sys.executable, *arguments, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "open"

    @property
    def pid(self) -> int:
        return self.process.pid

    def run(self, sql: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(sql + "\n")
        self.process.stdin.flush()
        assert self._answer() == "done"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@contextmanager
def application(database: Path, script: Path | None = None) -> Iterator[Application]:
    app = Application(database, script)
    try:
        yield app
    finally:
        app.stop()


def read(app: Application) -> None:
    app.run("BEGIN")
    app.run("SELECT * FROM t LIMIT 1")


def who_holds(path: Path) -> list[Holder]:
    """As seen from a process that has not the database open, as this one."""
    index = Path(f"{path}-shm")
    there = index.stat()
    return holders((there.st_dev, there.st_ino), index.read_bytes()[:INDEX_SIZE])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[Path, Writer]]:
    path = tmp_path / "app.db"
    with Writer(path) as writer:
        writer.run("CREATE TABLE t (n, b)")
        yield path, writer


def test_a_reader_is_named_with_the_frame_it_pins(database: tuple[Path, Writer]) -> None:
    path, writer = database
    assert who_holds(path) == []
    with application(path) as reader:
        read(reader)
        (before,) = who_holds(path)
        assert (before.pid, before.kind, before.frame) == (reader.pid, "reader", before.frames)
        writer.run("INSERT INTO t VALUES (?, randomblob(300))", [[n] for n in range(50)])
        (after,) = who_holds(path)
        assert after.frame == before.frame
        assert after.frames >= before.frames + 50
        name, user = Path(f"/proc/{reader.pid}/comm").read_text().strip(), pwd.getpwuid(os.getuid()).pw_name
        assert (after.name, after.user, after.own) == (name, user, False)
        # It is as it says: a checkpoint gets to that frame and no farther.
        assert writer.run("PRAGMA wal_checkpoint(PASSIVE)") == [[0, after.frames, after.frame]]
        assert sentence([after]) == (
            f"a read transaction of `{after.name}` (pid {reader.pid}, user {after.user})"
            f" has been open since frame {after.frame} of {after.frames}"
        )
        reader.run("COMMIT")
        assert who_holds(path) == []


def test_a_reader_of_the_database_file_alone_is_at_frame_0(database: tuple[Path, Writer]) -> None:
    path, writer = database
    writer.run("PRAGMA wal_checkpoint(TRUNCATE)")
    with application(path) as reader:
        read(reader)
        writer.run("INSERT INTO t VALUES (1, 2)")
        (holder,) = who_holds(path)
        assert (holder.kind, holder.frame) == ("reader", 0)
        assert writer.run("PRAGMA wal_checkpoint(PASSIVE)") == [[0, holder.frames, 0]]


def test_the_oldest_of_several_readers_comes_first(database: tuple[Path, Writer]) -> None:
    path, writer = database
    with application(path) as first, application(path) as second, application(path) as third:
        for reader in (first, second, third):
            read(reader)
            writer.run("INSERT INTO t VALUES (1, 2)")
        found = who_holds(path)
        assert [holder.pid for holder in found] == [first.pid, second.pid, third.pid]
        assert [holder.frames - (holder.frame or 0) for holder in found] == [3, 2, 1]
        assert f"pid {first.pid}" in sentence(found)
        assert sentence(found).endswith("; 2 more processes beside it")


def test_a_writer_is_named(database: tuple[Path, Writer]) -> None:
    path, _ = database
    with application(path) as app:
        app.run("BEGIN IMMEDIATE")
        found = who_holds(path)
        assert {(holder.pid, holder.kind) for holder in found} == {(app.pid, "reader"), (app.pid, "writer")}
        writer = next(holder for holder in found if holder.kind == "writer")
        assert sentence([writer]) == f"`{writer.name}` (pid {app.pid}, user {writer.user}) holds the write lock"


def test_a_script_is_named_beside_what_runs_it(database: tuple[Path, Writer], tmp_path: Path) -> None:
    path, _ = database
    with application(path, tmp_path / "report.py") as reader:
        read(reader)
        (holder,) = who_holds(path)
        assert holder.name.endswith(" report.py")


def test_a_name_cannot_move_the_cursor_of_a_terminal(database: tuple[Path, Writer], tmp_path: Path) -> None:
    path, _ = database
    with application(path, tmp_path / "a\033[2Jb.py") as reader:
        read(reader)
        assert who_holds(path)[0].name.endswith(" a[2Jb.py")


def test_locks_on_other_files_say_nothing(database: tuple[Path, Writer]) -> None:
    path, _ = database
    with application(path) as reader:
        read(reader)
        index = Path(f"{path}-shm").read_bytes()[:INDEX_SIZE]
        there = path.stat()
        assert holders((there.st_dev, there.st_ino), index) == []
        assert len(who_holds(path)) == 1


def test_another_number_of_the_same_device_does_not_matter(database: tuple[Path, Writer]) -> None:
    """Where the lock's device is not the file's, processes that do not have the file open are not accused."""
    path, _ = database
    with application(path) as reader:
        read(reader)
        index = Path(f"{path}-shm")
        foreign = (index.stat().st_dev + 1, index.stat().st_ino)
        assert holders(foreign, index.read_bytes()[:INDEX_SIZE]) == []


READER = Holder(1, "python3", "reader", 120, 4800, "app")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "no process that can be seen from here holds it"),
        ([replace(READER, pid=os.getpid())], f"nobody but the agent itself (pid {os.getpid()}) holds it"),
        (
            [replace(READER, pid=os.getpid(), frame=0), READER],
            "a read transaction of `python3` (pid 1, user app) has been open since frame 120 of 4800",
        ),
        (
            [READER, replace(READER, pid=2)],
            (
                "a read transaction of `python3` (pid 1, user app) has been open since frame 120 of 4800;"
                " 1 more process beside it"
            ),
        ),
        (
            [replace(READER, name="", user="")],
            "a read transaction of pid 1, which has ended since, has been open since frame 120 of 4800",
        ),
        (
            [replace(READER, kind="checkpoint", frame=None)],
            "`python3` (pid 1, user app) is at a checkpoint",
        ),
        ([replace(READER, kind="recovery", frame=None)], "`python3` (pid 1, user app) recovers the WAL"),
    ],
)
def test_what_an_alarm_says(found: list[Holder], words: str) -> None:
    assert sentence(found) == words


# as `/proc/locks` writes them

numbers = st.integers(0, 2**31 - 1)
locks = st.builds(
    Lock,
    pid=numbers,
    exclusive=st.booleans(),
    device=st.builds(os.makedev, st.integers(0, 4095), st.integers(0, 2**20 - 1)),
    inode=st.integers(0, 2**64 - 1),
    first=st.integers(0, 2**63 - 2),
    last=st.none() | st.integers(0, 2**63 - 2),
)


def line(number: int, lock: Lock) -> str:
    kind = "WRITE" if lock.exclusive else "READ"
    device = f"{os.major(lock.device):02x}:{os.minor(lock.device):02x}:{lock.inode}"
    end = "EOF" if lock.last is None else str(lock.last)
    return f"{number}: POSIX  ADVISORY  {kind} {lock.pid} {device} {lock.first} {end}"


@given(st.lists(locks))
def test_every_lock_is_read_back(given_locks: list[Lock]) -> None:
    assert parse_locks("\n".join(line(n, lock) for n, lock in enumerate(given_locks))) == given_locks


@given(st.text())
def test_any_text_gives_locks_or_none(text: str) -> None:
    for lock in parse_locks(text):
        assert lock.pid >= 0


OTHER_LINES = """\
1: FLOCK  ADVISORY  WRITE 812 fe:00:1311 0 EOF
2: OFDLCK ADVISORY  READ  -1 fe:00:2146788 124 124
3: LEASE  ACTIVE    READ  812 fe:00:1311 0 EOF
4: POSIX  ADVISORY  READ 8055 fe:00:2146788 127 128
4: -> POSIX  ADVISORY  WRITE 8056 fe:00:2146788 127 127
5: POSIX  ADVISORY  WRITE 9 <none>:0 0 EOF
"""


def test_other_locks_and_those_that_wait_are_passed_over() -> None:
    assert parse_locks(OTHER_LINES) == [Lock(8055, False, os.makedev(0xFE, 0), 2146788, 127, 128)]


def shm(*marks: int) -> bytes:
    return struct.pack("=100x5I16x", *marks)


@given(st.integers(0, 200), st.integers(0, 200), st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=5))
def test_a_shared_lock_reads_from_the_oldest_mark_that_it_covers(first: int, last: int, marks: list[int]) -> None:
    """Linux joins locks beside each other: one line can be about several marks, and about bytes that are none."""
    covered = [mark for i, mark in enumerate(marks) if first <= 123 + i <= last and mark != 0xFFFFFFFF]
    found = held([Lock(7, False, 1, 1, first, last)], shm(*marks))
    assert found == ([(7, "reader", min(covered))] if covered else [])


@given(st.integers(0, 200), st.integers(0, 200))
def test_an_exclusive_lock_is_a_writer_a_checkpoint_or_a_recovery(first: int, last: int) -> None:
    kinds = [kind for _, kind, _ in held([Lock(7, True, 1, 1, first, last)], shm(0, 0, 0, 0, 0))]
    assert kinds == [
        kind
        for byte, kind in ((120, "writer"), (121, "checkpoint"), (122, "recovery"))
        if byte in range(first, last + 1)
    ]
