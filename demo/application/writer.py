"""A ledger: transfers between accounts, about twenty a second, for ever. Called as ``writer.py DATABASE``.

Each transaction inserts a numbered entry and changes two balances. Every entry's digest covers the one before it, so
that a copy of the ledger proves itself. What was committed is printed after the commit.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
import sys
import time
from datetime import UTC, datetime

SCHEMA = """
CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, holder TEXT NOT NULL, cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, booked TEXT NOT NULL, debit INTEGER NOT NULL REFERENCES account,
    credit INTEGER NOT NULL REFERENCES account, cents INTEGER NOT NULL, memo TEXT NOT NULL, digest TEXT NOT NULL
);
"""
HOLDERS = ("Alder & Sons", "Bakery Brandt", "City Works", "Dr. Ekholm", "Ferry Line", "Hotel Isar", "Joinery")
REASONS = ("rent", "invoice", "refund", "delivery", "repair", "subscription", "advance", "insurance")
TRANSACTIONS_PER_SECOND = 20
_CHANCE = random.SystemRandom()


def digest_of(before: str, *fields: object) -> str:
    """The digest of an entry after the one whose digest is ``before``."""
    return hashlib.sha256("\x1f".join([before, *map(str, fields)]).encode()).hexdigest()


def opened(path: str) -> sqlite3.Connection:
    """The ledger, made if missing."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("PRAGMA synchronous = normal")
    connection.executescript(SCHEMA)
    accounts = [(number, holder) for number, holder in enumerate(HOLDERS, 1)]
    connection.executemany("INSERT OR IGNORE INTO account VALUES (?, ?, 0)", accounts)
    return connection


def transfer(connection: sqlite3.Connection) -> tuple[int, str]:
    """One transaction. The new entry's number and digest."""
    debit, credit = _CHANCE.sample(range(1, len(HOLDERS) + 1), 2)
    cents = _CHANCE.randint(100, 250_000)
    memo = f"{_CHANCE.choice(REASONS)} {_CHANCE.randint(10_000, 99_999)}"
    booked = datetime.now(UTC).isoformat(timespec="milliseconds")
    connection.execute("BEGIN IMMEDIATE")
    last = connection.execute("SELECT id, digest FROM entry ORDER BY id DESC LIMIT 1").fetchone()
    number, before = (last[0] + 1, last[1]) if last else (1, "")
    digest = digest_of(before, number, booked, debit, credit, cents, memo)
    row = (number, booked, debit, credit, cents, memo, digest)
    connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.execute("UPDATE account SET cents = cents - ? WHERE id = ?", (cents, debit))
    connection.execute("UPDATE account SET cents = cents + ? WHERE id = ?", (cents, credit))
    connection.execute("COMMIT")
    return number, digest


def main() -> None:
    """Until the host or systemd ends it."""
    connection = opened(sys.argv[1])
    while True:
        number, digest = transfer(connection)
        print(f"committed id={number} digest={digest}", flush=True)
        time.sleep(1 / TRANSACTIONS_PER_SECOND)


if __name__ == "__main__":
    main()
