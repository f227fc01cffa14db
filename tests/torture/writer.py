"""An application without mercy: ``python -m tests.torture.writer PATH PAGE_SIZE AUTOCHECKPOINT SEED``.

It commits whatever comes to its mind, tells each commit as ``commit NUMBER CHAIN``, and listens to ``go``, ``halt`` and
``quit`` on standard input. What fails, because the disk is full or the database is locked, is taken back and told.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable

import apsw

from tests.torture import ledger

#: Bytes of the database from which on it is made smaller.
LARGEST = 8_000_000
LEAST_TABLES, MOST_TABLES = 2, 6
#: Seconds between two tries to open a database whose disk is full.
RETRY = 0.1


class Application:
    """One connection, now and then a second one that reads for long."""

    def __init__(self, path: str, page_size: int, autocheckpoint: int, seed: int) -> None:
        self._path = path
        self._page_size = page_size
        self._autocheckpoint = autocheckpoint
        self._chance = random.Random(seed)
        self._reader: apsw.Connection | None = None
        self._content = 0
        self.connection = self._opened()
        entry = ledger.newest(self.connection)
        self.committed = entry.seq
        tell(f"commit {entry.seq} {entry.chain}")
        self._kinds: list[tuple[int, Callable[[], None]]] = [
            (40, self.small), (15, self.update), (8, self.delete), (4, self.large), (3, self.blob),
            (2, self.create_table), (1, self.drop_table), (3, self.alter), (2, self.create_index), (1, self.drop_index),
            (4, self.take_back), (2, self.vacuum), (3, self.incremental_vacuum), (1, self.shrink),
            (6, self.checkpoint), (4, self.read_for_long), (3, self.reopen),
        ]  # fmt: skip

    def step(self) -> None:
        """One thing or another; raises apsw.Error, and has then changed nothing."""
        weights, kinds = zip(*self._kinds, strict=True)
        if self._number("PRAGMA page_count") * self._page_size > LARGEST:
            self.shrink()
        else:
            self._chance.choices(kinds, weights)[0]()

    def pause(self) -> float:
        """Seconds until the next step: mostly short, sometimes none."""
        return self._chance.choice((0.0, 0.02, self._chance.expovariate(12), self._chance.expovariate(5)))

    def recover(self) -> None:
        """After a failure: take back, and see what was committed."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        entry = ledger.newest(self.connection)
        if entry.seq != self.committed:
            self.committed = entry.seq
            tell(f"commit {entry.seq} {entry.chain}")

    def close(self) -> None:
        self.stop_reading()
        self.connection.close()

    def stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # transactions

    def small(self) -> None:
        self._transact("small", lambda: self._insert(self._chance.randint(1, 5), 2000))

    def large(self) -> None:
        self._transact("large", lambda: self._insert(self._chance.randint(50, 200), 6000))

    def blob(self) -> None:
        size = self._chance.randint(100_000, 1_500_000)
        self._transact("blob", lambda: self._store(self._table(), size))

    def update(self) -> None:
        def work() -> None:
            table = self._table()
            for number, body in self._some(table, self._chance.randint(1, 20)):
                new = self._chance.randbytes(self._chance.choice((len(body), self._chance.randint(0, 3000))))
                self.connection.execute(f"UPDATE {table} SET body = ? WHERE id = ?", (new, number))
                self._count(ledger.row_hash(table, number, new) - ledger.row_hash(table, number, body))

        self._transact("update", work)

    def delete(self) -> None:
        self._transact("delete", lambda: self._remove(self._table(), self._chance.randint(1, 40)))

    def shrink(self) -> None:
        """Nearly everything goes, and the pages too."""

        def work() -> None:
            for table in ledger.tables(self.connection):
                self._remove(table, self._number(f"SELECT count(*) * 9 / 10 FROM {table}"))

        self._transact("shrink", work)
        self.vacuum()

    def create_table(self) -> None:
        if len(ledger.tables(self.connection)) < MOST_TABLES:
            table = f"{ledger.PREFIX}{self._chance.getrandbits(40)}"
            self._transact("create table", lambda: self._create(table))

    def drop_table(self) -> None:
        def work() -> None:
            table = self._table()
            self._count(-ledger.table_content(self.connection, table))
            self.connection.execute(f"DROP TABLE {table}")

        if len(ledger.tables(self.connection)) > LEAST_TABLES:
            self._transact("drop table", work)

    def alter(self) -> None:
        def work() -> None:
            table = self._table()
            notes = [row[1] for row in self.connection.execute(f"PRAGMA table_info({table})") if row[1] != "body"][1:]
            if len(notes) > 2:
                self.connection.execute(f"ALTER TABLE {table} DROP COLUMN {self._chance.choice(notes)}")
            elif notes and self._chance.random() < 0.3:
                self.connection.execute(
                    f"ALTER TABLE {table} RENAME COLUMN {notes[0]} TO n{self._chance.getrandbits(40)}"
                )
            else:
                self.connection.execute(
                    f"ALTER TABLE {table} ADD COLUMN n{self._chance.getrandbits(40)} TEXT DEFAULT 'so far'"
                )

        self._transact("alter", work)

    def create_index(self) -> None:
        name = f"index_{self._chance.getrandbits(40)}"
        self._transact(
            "create index", lambda: self.connection.execute(f"CREATE INDEX {name} ON {self._table()} (length(body))")
        )

    def drop_index(self) -> None:
        query = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        found = [str(row[0]) for row in self.connection.execute(query)]
        if found:
            self._transact("drop index", lambda: self.connection.execute(f"DROP INDEX {self._chance.choice(found)}"))

    # everything else an application does

    def take_back(self) -> None:
        """A transaction so large that it spills into the WAL, and then never was."""
        self.connection.execute("PRAGMA cache_size = 10")
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self._insert(self._chance.randint(20, 200), 6000)
        finally:
            if self.connection.in_transaction:  # a full disk has ended it
                self.connection.execute("ROLLBACK")
            self.connection.execute("PRAGMA cache_size = -2000")

    def vacuum(self) -> None:
        self.connection.execute("VACUUM")

    def incremental_vacuum(self) -> None:
        """Gives pages back where the database was made for it; else it does nothing."""
        self.connection.execute(f"PRAGMA incremental_vacuum({self._chance.randint(1, 500)})").fetchall()

    def checkpoint(self) -> None:
        mode = self._chance.choice(("PASSIVE", "FULL", "RESTART", "TRUNCATE"))
        self.connection.set_busy_timeout(100)
        try:
            self.connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        finally:
            self.connection.set_busy_timeout(20_000)

    def read_for_long(self) -> None:
        """Begin a read transaction, or end the one that goes on."""
        if self._reader is not None:
            self.stop_reading()
            return
        self._reader = apsw.Connection(self._path)
        self._reader.execute("BEGIN")
        self._reader.execute("SELECT count(*) FROM ledger").fetchall()

    def reopen(self) -> None:
        self.close()
        self.connection = self._opened()

    # parts

    def _opened(self) -> apsw.Connection:
        while True:
            try:
                return self._open()
            except apsw.Error as error:
                tell(f"failed open: {error}")
                time.sleep(RETRY)

    def _open(self) -> apsw.Connection:
        connection = apsw.Connection(self._path)
        try:
            connection.set_busy_timeout(20_000)
            connection.execute(f"PRAGMA page_size = {self._page_size}")
            if self._page_size > 4096:
                connection.execute("PRAGMA auto_vacuum = incremental")
            connection.execute("PRAGMA journal_mode = wal").fetchall()
            connection.execute("PRAGMA synchronous = normal")
            connection.wal_autocheckpoint(self._autocheckpoint)
            connection.execute(ledger.CREATE)
        except BaseException:
            connection.close()
            raise
        return connection

    def _transact(self, kind: str, work: Callable[[], object]) -> None:
        """One transaction with its row in the ledger."""
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        last = ledger.newest(self.connection)
        self._content = last.content
        while len(ledger.tables(self.connection)) < LEAST_TABLES:
            self._create(f"{ledger.PREFIX}{self._chance.getrandbits(40)}")
        work()
        entry = last.next(kind, self._content, ledger.schema_digest(self.connection))
        run("INSERT INTO ledger VALUES (?, ?, ?, ?, ?)", (entry.seq, kind, entry.content, entry.schema, entry.chain))
        run("DELETE FROM ledger WHERE seq <= ?", (entry.seq - ledger.KEPT,))
        run("COMMIT")
        self.committed = entry.seq
        tell(f"commit {entry.seq} {entry.chain}")

    def _number(self, query: str) -> int:
        value = self.connection.execute(query).get
        assert isinstance(value, int)
        return value

    def _count(self, difference: int) -> None:
        self._content = (self._content + difference) % ledger.MODULUS

    def _create(self, table: str) -> None:
        self.connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    def _table(self) -> str:
        return self._chance.choice(ledger.tables(self.connection))

    def _insert(self, rows: int, size: int) -> None:
        table = self._table()
        for _ in range(rows):
            self._store(table, self._chance.randint(0, size))

    def _store(self, table: str, size: int) -> None:
        """Half of a body can be compressed."""
        body = self._chance.randbytes(size // 2).ljust(size, b"\0")
        self.connection.execute(f"INSERT INTO {table} (body) VALUES (?)", (body,))
        self._count(ledger.row_hash(table, self.connection.last_insert_rowid(), body))

    def _some(self, table: str, count: int) -> list[tuple[int, bytes]]:
        highest = self._number(f"SELECT coalesce(max(id), 0) FROM {table}")
        first = self._chance.randint(0, highest)
        query = f"SELECT id, body FROM {table} WHERE id >= ? ORDER BY id LIMIT ?"
        return [(int(number), bytes(body)) for number, body in self.connection.execute(query, (first, count))]

    def _remove(self, table: str, count: int) -> None:
        for number, body in self._some(table, count):
            self.connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))
            self._count(-ledger.row_hash(table, number, body))


def tell(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    path, page_size, autocheckpoint, seed = sys.argv[1], *map(int, sys.argv[2:5])
    application = Application(path, page_size, autocheckpoint, seed)
    going, over, asked = threading.Event(), threading.Event(), threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            going.set() if line.strip() == "go" else going.clear()
            if line.strip() == "quit":
                break
            asked.set()
        over.set()
        asked.set()

    threading.Thread(target=listen, daemon=True).start()
    tell("ready")
    while not over.is_set():
        if not going.is_set():
            application.stop_reading()
            tell(f"halted {application.committed}")
            asked.wait()
            asked.clear()
            continue
        try:
            application.step()
        except apsw.Error as error:
            tell(f"failed {type(error).__name__}: {error}")
            over.wait(RETRY)
            try:
                application.recover()
            except apsw.Error as again:
                tell(f"failed {type(again).__name__}: {again}")
        over.wait(application.pause())
    application.close()
    tell("closed")


if __name__ == "__main__":
    main()
