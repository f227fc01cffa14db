"""What makes a database its own witness: from a restored copy alone it can be told which commits it holds, and that it
holds them whole.

Every transaction of the application adds a row to ``ledger``: its number, the sum of the hashes of all rows of all data
tables after it, the digest of the schema after it, and a hash chained to the row before. So a copy with half of a
transaction, without one in the middle, or with one from elsewhere, contradicts itself or the application's journal.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import apsw

CREATE = """
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, content INTEGER NOT NULL, schema TEXT NOT NULL, chain TEXT NOT NULL
)
"""
#: Newest rows of the ledger that are kept.
KEPT = 300
#: Sums of row hashes stay below this, so that SQLite can store them.
MODULUS = 1 << 62
#: Names of data tables begin with this; nobody else's do.
PREFIX = "data_"


class Broken(Exception):
    """The copy is no prefix of what the application committed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger: the state after transaction ``seq``."""

    seq: int = 0
    content: int = 0
    schema: str = ""
    chain: str = ""

    def next(self, kind: str, content: int, schema: str) -> Entry:
        """The entry of the following transaction."""
        text = f"{self.chain} {self.seq + 1} {kind} {content} {schema}"
        return Entry(self.seq + 1, content, schema, hashlib.sha256(text.encode()).hexdigest()[:32])


def row_hash(table: str, number: int, body: bytes) -> int:
    """Stands for one row of a data table."""
    digest = hashlib.blake2b(f"{table} {number} ".encode() + body, digest_size=8).digest()
    return int.from_bytes(digest, "big") % MODULUS


def tables(connection: apsw.Connection) -> list[str]:
    """The data tables, in order."""
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, ?) = ? ORDER BY name"
    return [str(row[0]) for row in connection.execute(query, (len(PREFIX), PREFIX))]


def table_content(connection: apsw.Connection, table: str) -> int:
    """The sum of a table's row hashes."""
    rows = connection.execute(f"SELECT id, body FROM {table}")
    return sum(row_hash(table, number, body) for number, body in rows) % MODULUS


def schema_digest(connection: apsw.Connection) -> str:
    """Changes with every CREATE, DROP and ALTER."""
    query = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name"
    return hashlib.sha256(repr(connection.execute(query).fetchall()).encode()).hexdigest()[:16]


def newest(connection: apsw.Connection) -> Entry:
    """The last entry; one of number 0 where there is none."""
    row = connection.execute("SELECT seq, content, schema, chain FROM ledger ORDER BY seq DESC LIMIT 1").fetchone()
    return Entry(*row) if row else Entry()


def check(path: Path) -> Entry:
    """The newest entry of a copy that nobody writes to; raises Broken if the copy contradicts itself."""
    with_uri = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        with contextlib.closing(apsw.Connection(f"file:{path}?immutable=1", flags=with_uri)) as connection:
            return _check(connection)
    except (apsw.Error, UnicodeDecodeError, TypeError) as error:
        raise Broken(f"SQLite cannot read it: {error}") from None


def _check(connection: apsw.Connection) -> Entry:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'ledger'").fetchall():
        if tables(connection):
            raise Broken("data tables, but no ledger")
        return Entry()  # from before the first transaction
    sound = connection.execute("PRAGMA integrity_check(3)").fetchall()
    if sound != [("ok",)]:
        raise Broken(f"integrity check: {sound}")
    before: Entry | None = None
    for seq, kind, content, schema, chain in connection.execute("SELECT * FROM ledger ORDER BY seq"):
        entry = Entry(seq, content, schema, chain)
        if before is None and seq == 1:
            before = Entry()
        if before is not None and seq != before.seq + 1:
            raise Broken(f"transactions {before.seq + 1} to {seq - 1} are missing in the middle")
        if before is not None and before.next(kind, content, schema) != entry:
            raise Broken(f"transaction {seq} does not follow from the one before")
        before = entry
    last = before or Entry()
    found = sum(table_content(connection, table) for table in tables(connection)) % MODULUS
    if found != last.content:
        raise Broken(f"the data tables are not what they were after transaction {last.seq}")
    if last.seq and schema_digest(connection) != last.schema:
        raise Broken(f"the schema is not what it was after transaction {last.seq}")
    return last
