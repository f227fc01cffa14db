"""One look at a directory: which files are databases, and what happens to them that is worth another look."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from litefleet.service.directories import scan
from litefleet.service.heads import check_heads
from litefleet.service.tree import Tree
from tests.unit.service.files import directory, make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_databases_are_told_from_everything_else(root: Path) -> None:
    wanted = [make(root / "a.db"), make(root / "eu/fr/b.db")]
    (root / "empty.db").touch()
    (root / "short.db").write_bytes(b"SQLite")
    (root / "text.db").write_text("SQLite format 3, says the text\n")
    (root / "folder.db").mkdir()
    (root / "nowhere.db").symlink_to(root / "none")
    (root / "round.db").symlink_to(root / "round.db")
    os.mkfifo(root / "pipe.db")
    make(root / "other.sqlite")
    make(root / ".a.db.restoring")
    for end in ("-wal", "-shm", "-journal"):
        shutil.copy(root / "a.db", root / f"c.db{end}")
    assert scan(directory(root)) == wanted
    assert scan(directory(root, "*")) == sorted([*wanted, root / "other.sqlite"])
    assert scan(directory(root, recursive=False)) == [root / "a.db"]


def test_one_file_is_found_once(root: Path, tmp_path: Path) -> None:
    real = make(root / "z.db")
    (root / "a.db").symlink_to(real)
    (root / "loop").symlink_to(root)
    linked = root / "linked.db"
    linked.symlink_to(make(tmp_path / "elsewhere/app.db"))
    assert scan(directory(root)) == [linked, real]
    assert scan(directory(root), others=[tmp_path / "elsewhere/app.db"]) == [real]
    assert scan(directory(root), others=[root / "a.db"]) == [linked]


def test_directory_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert scan(directory(tmp_path / "none")) == []


def test_looking_leaves_the_locks_of_this_process_alone(root: Path) -> None:
    """Closing any descriptor of a file drops them, so that another process might delete the WAL of a live database."""
    make(root / "a.db")
    with closing(sqlite3.connect(root / "a.db")) as connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM t").fetchall()
        before = locks()
        assert before
        assert scan(directory(root)) == [root / "a.db"]
        assert locks() == before


def locks() -> set[str]:
    """Those of this process, as the kernel has them."""
    lines = Path("/proc/locks").read_text().splitlines()
    return {line.split(": ", 1)[1] for line in lines if f" {os.getpid()} " in line}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read_is_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(root / "a.db").chmod(0)
    assert scan(directory(root)) == []
    assert f"{root}/a.db: cannot be read: Permission denied" in caplog.text


def test_names_of_any_bytes_are_looked_at(root: Path) -> None:
    files = [root / os.fsdecode(name) for name in (b"\xff.db", b"line\nbreak.db", b" .db")]
    for file in files:
        shutil.copy(make(root / "a.db") if not (root / "a.db").exists() else root / "a.db", file)
    assert scan(directory(root)) == sorted([*files, root / "a.db"])


def test_head_tells_the_size_or_what_is_wrong(root: Path) -> None:
    file = make(root / "a.db", rows=100)
    (root / "text").write_text("x" * 100)
    answers = check_heads([file, root / "text", root / "none", root])
    assert answers == [file.stat().st_size, 0, "No such file or directory", "Is a directory"]
    assert check_heads([]) == []


def test_copy_that_is_not_whole_yet_is_no_database(root: Path, tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.db", rows=100).read_bytes()
    half = root / "half.db"
    half.write_bytes(whole[: len(whole) // 2])
    assert scan(directory(root)) == []
    half.write_bytes(whole)
    assert scan(directory(root)) == [half]


def test_damaged_database_that_nobody_writes_to_is_one(root: Path, tmp_path: Path) -> None:
    """Whoever protects it says what is wrong with it."""
    half = root / "half.db"
    half.write_bytes(make(tmp_path / "whole.db", rows=100).read_bytes()[:8192])
    os.utime(half, (time.time() - 3600,) * 2)
    assert scan(directory(root)) == [half]


def test_everyday_life_of_a_database_is_worth_no_look(root: Path) -> None:
    """An application that opens and closes it all the time costs nothing here."""
    make(root / "a.db")
    (root / "new.db").touch()
    tree = Tree(directory(root), {})
    assert tree.look().found == [root / "a.db"]
    for name in ("a.db-wal", "a.db-shm", "a.db-journal", "b.db-wal", "text", ".a.db.restoring"):
        assert not tree.concerns(root, name, closed=False)
    assert not tree.concerns(root, "a.db", closed=True)
    # It was removed or replaced, or there is another one, or one that becomes one.
    assert tree.concerns(root, "a.db", closed=False)
    assert tree.concerns(root, "b.db", closed=True)
    assert tree.concerns(root, "new.db", closed=True)
    assert tree.concerns(root, "new.db-journal", closed=False)
    assert not tree.concerns(root / "elsewhere", "b.db", closed=False)


def test_only_what_is_not_settled_is_looked_at_again(root: Path) -> None:
    make(root / "eu/a.db")
    (root / "text.db").write_text("no database, and long enough to tell")
    tree = Tree(directory(root), {})
    tree.look()
    assert tree.unsettled == set()
    (root / "eu/new.db").touch()
    tree.look([root / "eu"])
    assert tree.unsettled == {root / "eu"}
    make(root / "eu/new.db")
    assert tree.look(tree.unsettled).found == [root / "eu/new.db"]
    assert tree.unsettled == set()


def test_process_that_looks_and_fails_is_said_once_and_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make(root / "a.db")
    tree = Tree(directory(root), {})
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", "/bin/false")
        assert [tree.look().found for _ in range(2)] == [[], []]
    assert tree.unsettled == {root}
    assert caplog.text.count("the process that looks at 1 files failed") == 1
    assert tree.look(tree.unsettled).found == [root / "a.db"]
