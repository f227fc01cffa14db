"""What is in a database, as JSON on standard output. Called as ``examine.py DATABASE [ENTRY]``.

Integrity, the number of rows, and a digest over all pages. With ENTRY the database is a ledger: whether its entries are
complete and true, and the digest of that entry or the last before it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from typing import Any

# The parts of the first page that tell how and by whom the file was written, not what is in it: the version of the
# journal, the change counter, and the version of SQLite.
_HOUSEKEEPING = ((18, 20), (24, 28), (92, 100))


def pages_digest(connection: sqlite3.Connection) -> str:
    """A digest over every page as a reader sees it now."""
    pages = bytearray(connection.serialize())
    for start, end in _HOUSEKEEPING:
        pages[start:end] = bytes(end - start)
    return hashlib.sha256(pages).hexdigest()


def integrity(connection: sqlite3.Connection) -> str:
    """``ok``, or the first of SQLite's complaints."""
    return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def all_rows(connection: sqlite3.Connection) -> int:
    """Rows of all tables together."""
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    ).fetchall()
    quoted = ['"' + name.replace('"', '""') + '"' for (name,) in names]
    return sum(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in quoted)  # noqa: S608  quoted


def ledger(connection: sqlite3.Connection, entry: int) -> dict[str, Any]:
    """The last entry, the digest of entry number ``entry`` or the last before it, and everything that is wrong."""
    wrong: list[str] = []
    balances = dict.fromkeys((number for (number,) in connection.execute("SELECT id FROM account")), 0)
    last, digest, asked = 0, "", ""
    for number, booked, debit, credit, cents, memo, stored in connection.execute("SELECT * FROM entry ORDER BY id"):
        if number != last + 1:
            wrong.append(f"entries {last + 1} to {number - 1} are missing")
        fields = "\x1f".join([digest, *map(str, (number, booked, debit, credit, cents, memo))])
        if stored != hashlib.sha256(fields.encode()).hexdigest():
            wrong.append(f"entry {number} does not follow from the one before it")
        last, digest = number, stored
        if number <= entry:
            asked = stored
        balances[debit] = balances.get(debit, 0) - cents
        balances[credit] = balances.get(credit, 0) + cents
    if balances != dict(connection.execute("SELECT id, cents FROM account").fetchall()):
        wrong.append("balances are not the sum of the entries")
    return {"entries": last, "digest": asked, "wrong": wrong[:5]}


def examine(path: str, entry: int | None = None, *, immutable: bool = False) -> dict[str, Any]:
    """Everything about one database; with ``entry`` it is a ledger. One read transaction, so that all of it fits."""
    uri = "file:" + path + ("?immutable=1" if immutable else "?mode=rw")
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN")
        found: dict[str, Any] = {
            "integrity": integrity(connection),
            "rows": all_rows(connection),
            "pages": pages_digest(connection),
        }
        return found | (ledger(connection, entry) if entry is not None else {})
    finally:
        connection.close()


if __name__ == "__main__":
    print(json.dumps(examine(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)))
