"""A WAL that grows raises one alarm, which names who keeps it, and which ends when the WAL is used again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from litefleet.replicate import walguard
from litefleet.replicate.figures import Figures
from litefleet.replicate.walguard import WalGuard
from litefleet.sqlite import LiveDatabase
from tests.support.sqlitewriter import Writer

LIMIT = 200_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def app(path: Path) -> Iterator[Writer]:
    with Writer(path) as writer:
        writer.run("CREATE TABLE t (b)")
        yield writer


@pytest.fixture
def live(path: Path, app: Writer) -> Iterator[LiveDatabase]:
    with LiveDatabase(path, busy_timeout=1) as database:
        yield database


def grow(app: Writer, size: int = LIMIT) -> None:
    app.run("INSERT INTO t VALUES (randomblob(?))", [[size]])


def guard(path: Path) -> tuple[WalGuard, Figures]:
    figures = Figures(path, "nats://h/b")
    return WalGuard(path, LIMIT, figures), figures


def test_a_short_wal_is_no_alarm_but_counts(path: Path, app: Writer, live: LiveDatabase) -> None:
    looking, figures = guard(path)
    app.run("INSERT INTO t VALUES (1)")
    assert not looking.look(live)
    assert figures.wal_alarm == ""
    assert figures.wal_bytes == path.with_name("app.db-wal").stat().st_size
    assert figures.db_bytes == path.stat().st_size


def test_the_alarm_is_raised_once_and_kept_up_to_date(
    path: Path, app: Writer, live: LiveDatabase, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walguard, "_PAUSE", 0.0)
    looking, figures = guard(path)
    grow(app)
    assert looking.look(live)
    assert f"the WAL has {figures.wal_bytes} bytes: " in figures.wal_alarm
    first = figures.wal_alarm
    grow(app)
    assert looking.look(live)
    assert figures.wal_alarm != first
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert first in caplog.text


def test_who_it_is_is_not_asked_at_every_look(path: Path, app: Writer, live: LiveDatabase) -> None:
    looking, figures = guard(path)
    grow(app)
    assert looking.look(live)
    first = figures.wal_alarm
    grow(app)
    assert looking.look(live), "it is over its limit all the same"
    assert figures.wal_alarm == first


def test_the_alarm_ends_once_the_wal_is_used_from_its_start_again(
    path: Path, app: Writer, live: LiveDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    looking, figures = guard(path)
    grow(app)
    assert looking.look(live)
    # Nothing is left to copy, and our own hold is at the end: the next write begins at the start.
    with live.write_lock():
        live.checkpoint()
    app.run("INSERT INTO t VALUES (1)")
    assert not looking.look(live)
    assert figures.wal_alarm == ""
    assert "the WAL is reused again" in caplog.text
    looking.look(live)
    assert caplog.text.count("reused again") == 1


def test_what_shrank_a_little_keeps_its_alarm(path: Path, app: Writer, live: LiveDatabase) -> None:
    looking, figures = guard(path)
    grow(app)
    assert looking.look(live)
    with live.write_lock():
        live.checkpoint()
    grow(app, LIMIT * 3 // 4)
    assert not looking.look(live)
    assert figures.wal_alarm != ""
