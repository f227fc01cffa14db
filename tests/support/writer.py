"""An application: one connection, commands on standard input, an answer for each on standard output.

writer.py PATH [PAGE_SIZE]
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import sqlite3
import sys
import threading
from collections.abc import Callable

SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, body BLOB NOT NULL, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS total (one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL);
INSERT OR IGNORE INTO total VALUES (1, 0);
"""


class Application:
    def __init__(self, path: str, page_size: int) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        self.connection.execute(f"PRAGMA page_size={page_size}")
        self.connection.execute("PRAGMA journal_mode=wal")
        self.connection.execute("PRAGMA synchronous=normal")
        self.connection.executescript(SCHEMA)
        self.random = random.Random(7)
        self.stopping = threading.Event()
        self.running: threading.Thread | None = None
        self.committed = self.connection.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()[0]

    def insert(self, rows: int, size: int) -> None:
        """One transaction; both tables tell the same afterwards."""
        self.connection.execute("BEGIN IMMEDIATE")
        for _ in range(rows):
            self.committed += 1
            body = self.random.randbytes(size // 2) + bytes(size - size // 2)
            row = (self.committed, body, hashlib.sha256(body).hexdigest())
            self.connection.execute("INSERT INTO entry VALUES (?, ?, ?)", row)
        self.connection.execute("UPDATE total SET entries = entries + ?", (rows,))
        self.connection.execute("COMMIT")

    def insert_command(self, transactions: str, rows: str, size: str) -> str:
        for _ in range(int(transactions)):
            self.insert(int(rows), int(size))
        return str(self.committed)

    def large(self, rows: str, size: str) -> str:
        """Long rows of mostly zeros: the file is large, its backup is not."""
        for _ in range(int(rows)):
            self.committed += 1
            body = self.random.randbytes(int(size) // 50).ljust(int(size), b"\0")
            row = (self.committed, body, hashlib.sha256(body).hexdigest())
            self.connection.execute("INSERT INTO entry VALUES (?, ?, ?)", row)
        return str(self.committed)

    def shrink(self, keep: str) -> str:
        """Delete all but the newest entries, and give the pages back."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("DELETE FROM entry WHERE id <= ?", (self.committed - int(keep),))
        self.connection.execute("UPDATE total SET entries = (SELECT count(*) FROM entry)")
        self.connection.execute("COMMIT")
        self.connection.execute("VACUUM")
        return str(self.connection.execute("PRAGMA page_count").fetchone()[0])

    def rollback(self, rows: str, size: str) -> str:
        """A transaction that spills into the WAL and is taken back."""
        self.connection.execute("PRAGMA cache_size=10")
        self.connection.execute("BEGIN IMMEDIATE")
        for number in range(int(rows)):
            body = self.random.randbytes(int(size))
            self.connection.execute("INSERT INTO entry VALUES (?, ?, 'never')", (10_000_000 + number, body))
        self.connection.execute("ROLLBACK")
        self.connection.execute("PRAGMA cache_size=-2000")
        return "rolled back"

    def checkpoint(self, mode: str) -> str:
        """As applications do that try, but do not insist."""
        self.connection.execute("PRAGMA busy_timeout=100")
        result = self.connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        self.connection.execute("PRAGMA busy_timeout=30000")
        return str(result)

    def read(self) -> str:
        """Begin a read transaction and keep it."""
        self.reader = sqlite3.connect(sys.argv[1], isolation_level=None)
        self.reader.execute("BEGIN")
        return str(self.reader.execute("SELECT count(*) FROM entry").fetchone()[0])

    def unread(self) -> str:
        self.reader.close()
        return "read"

    def go(self, rows: str, size: str, pause: str) -> str:
        """Commit on and on in the background."""

        def run() -> None:
            while not self.stopping.wait(self.random.random() * 2 * float(pause)):
                self.insert(self.random.randint(1, int(rows)), self.random.randint(1, int(size)))

        self.stopping.clear()
        self.running = threading.Thread(target=run)
        self.running.start()
        return "going"

    def halt(self) -> str:
        self.stopping.set()
        if self.running is not None:
            self.running.join()
        return str(self.committed)

    def quit(self) -> str:
        self.halt()
        self.connection.close()
        raise EOFError


def main() -> None:
    application = Application(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4096)
    commands: dict[str, Callable[..., str]] = {
        "insert": application.insert_command, "large": application.large, "shrink": application.shrink,
        "rollback": application.rollback, "checkpoint": application.checkpoint, "read": application.read,
        "unread": application.unread, "go": application.go, "halt": application.halt, "quit": application.quit,
    }  # fmt: skip
    print("done open", flush=True)
    with contextlib.suppress(EOFError):
        for line in sys.stdin:
            name, *arguments = line.split()
            try:
                print("done", commands[name](*arguments), flush=True)
            except sqlite3.Error as error:
                print("failed", error, flush=True)


if __name__ == "__main__":
    main()
