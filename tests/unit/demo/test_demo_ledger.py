"""The ledger proves itself: the writer's own transactions, looked at by the examination."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from demo.application.examine import examine
from demo.application.writer import opened, transfer


@pytest.fixture
def ledger(tmp_path: Path) -> tuple[str, list[str]]:
    """A ledger of 30 transactions, and their digests."""
    path = str(tmp_path / "ledger.db")
    connection = opened(path)
    digests = [transfer(connection)[1] for _ in range(30)]
    connection.close()
    return path, digests


def change(path: str, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)


def test_a_written_ledger_is_complete_and_true(ledger: tuple[str, list[str]]) -> None:
    path, digests = ledger
    found = examine(path, 30)
    assert (found["integrity"], found["entries"], found["wrong"]) == ("ok", 30, [])
    assert found["digest"] == digests[29]


@pytest.mark.parametrize(("entry", "expected"), [(1, 0), (17, 16), (99, 29)])
def test_the_digest_is_that_of_the_entry_asked_for_or_the_last(
    ledger: tuple[str, list[str]], entry: int, expected: int
) -> None:
    path, digests = ledger
    assert examine(path, entry)["digest"] == digests[expected]


def test_a_writer_that_starts_again_goes_on_where_it_was(ledger: tuple[str, list[str]]) -> None:
    path, _ = ledger
    connection = opened(path)
    assert transfer(connection)[0] == 31
    connection.close()
    assert examine(path, 31)["wrong"] == []


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("DELETE FROM entry WHERE id = 12", "entries 12 to 12 are missing"),
        ("UPDATE entry SET cents = cents + 1 WHERE id = 7", "entry 7 does not follow from the one before it"),
        ("UPDATE account SET cents = cents + 1 WHERE id = 3", "balances are not the sum of the entries"),
        ("UPDATE entry SET digest = 'x' WHERE id = 30", "entry 30 does not follow from the one before it"),
    ],
)
def test_a_ledger_that_was_tampered_with_is_found_out(
    ledger: tuple[str, list[str]], statement: str, complaint: str
) -> None:
    path, _ = ledger
    change(path, statement)
    assert complaint in examine(path, 30)["wrong"]


def test_the_pages_are_the_same_in_either_journal_mode_but_not_after_a_change(tmp_path: Path) -> None:
    path = tmp_path / "static.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany("INSERT INTO word (text) VALUES (?)", [(f"word {number}",) for number in range(500)])
    connection.close()
    shipped = examine(str(path), immutable=True)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode = wal").fetchone() == ("wal",)
    assert examine(str(path)) == shipped
    assert shipped["rows"] == 500
    connection.execute("UPDATE word SET text = 'other' WHERE id = 250")
    connection.commit()  # it is in the WAL only
    assert examine(str(path))["pages"] != shipped["pages"]
    connection.close()
