"""The torture's judge: it takes every prefix of what an application committed, and nothing else."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import apsw
import pytest

from tests.torture import ledger
from tests.torture.faults import KINDS, LONGEST, SPAN, draw
from tests.torture.writer import Application


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has seen a bit of everything, and is closed."""
    path = tmp_path_factory.mktemp("original") / "app.db"
    application = Application(str(path), 4096, 1000, seed=5)
    while application.committed < 60:
        application.step()
    application.close()
    return path


@pytest.fixture
def database(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(original, tmp_path))


def change(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def a_table(path: Path) -> str:
    connection = apsw.Connection(str(path))
    found = [table for table in ledger.tables(connection) if ledger.table_content(connection, table)]
    connection.close()
    return found[0]


@pytest.mark.parametrize("seed", range(2))
def test_every_prefix_holds_and_is_the_one_that_the_application_told(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path, copy = tmp_path / "app.db", tmp_path / "copy.db"
    application = Application(str(path), 1024, 0, seed)
    seen = {(0, "")}
    for _ in range(60):
        application.step()
        application.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        application.stop_reading()
        copy.unlink(missing_ok=True)
        application.connection.execute("VACUUM INTO ?", (str(copy),))
        entry = ledger.check(copy)
        assert entry.seq == application.committed
        seen.add((entry.seq, entry.chain))
    application.close()
    told = [line.split(" ") for line in capsys.readouterr().out.splitlines()]
    assert {(int(seq), chain) for _, seq, chain in told} == seen
    assert ledger.check(path).seq == application.committed


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("DELETE FROM ledger WHERE seq = 30", "missing in the middle"),
        ("UPDATE ledger SET kind = 'other' WHERE seq = 30", "does not follow"),
        ("UPDATE ledger SET chain = 'f' WHERE seq = 60", "does not follow"),
        ("DELETE FROM ledger WHERE seq = 60", "not what they were"),
        ("UPDATE {table} SET body = x'00' WHERE id = (SELECT max(id) FROM {table})", "not what they were"),
        ("DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table})", "not what they were"),
        ("INSERT INTO {table} (id, body) VALUES (1000000, x'00')", "not what they were"),
        ("ALTER TABLE {table} ADD COLUMN more", "schema is not"),
        ("CREATE TABLE more (x)", "schema is not"),
        ("DROP TABLE ledger", "no ledger"),
    ],
)
def test_what_is_no_prefix_is_told(database: Path, statement: str, complaint: str) -> None:
    ledger.check(database)
    change(database, statement.format(table=a_table(database)))
    with pytest.raises(ledger.Broken, match=complaint):
        ledger.check(database)


def test_a_page_of_an_earlier_state_is_told(tmp_path: Path) -> None:
    path, before = tmp_path / "app.db", tmp_path / "before.db"
    application = Application(str(path), 4096, 1000, seed=9)
    while application.committed < 20:
        application.step()
    application.stop_reading()
    application.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, before)
    application.small()
    application.close()
    old, new = before.read_bytes(), path.read_bytes()
    changed = [at for at in range(4096, min(len(old), len(new)), 4096) if old[at : at + 4096] != new[at : at + 4096]]
    assert changed
    for at in changed:
        path.write_bytes(new[:at] + old[at : at + 4096] + new[at + 4096 :])
        with pytest.raises(ledger.Broken):
            ledger.check(path)


def test_a_new_database_holds_nothing(tmp_path: Path) -> None:
    change(tmp_path / "app.db", ledger.CREATE)
    assert ledger.check(tmp_path / "app.db") == ledger.Entry()


def test_a_seed_tells_the_same_story() -> None:
    stories = [[draw(chance, frozenset(KINDS)) for _ in range(200)] for chance in (random.Random(3), random.Random(3))]
    assert stories[0] == stories[1]
    assert {fault.kind for faults in stories[0] for fault in faults} == set(KINDS)
    assert all(0 <= fault.begin <= SPAN for faults in stories[0] for fault in faults)
    assert all(fault.begin < fault.end <= SPAN + LONGEST for faults in stories[0] for fault in faults)


def test_what_a_machine_cannot_do_is_not_drawn() -> None:
    possible = frozenset(KINDS) - {"clock jumps", "data disk full"}
    chance = random.Random(3)
    assert {fault.kind for _ in range(300) for fault in draw(chance, possible)} == possible
