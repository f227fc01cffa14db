"""A database's file, read as bytes: SQLite is not opened, so no lock is taken and no -wal or -shm is made."""

from __future__ import annotations

from pathlib import Path

from litefleet.doctor.finding import Finding

_MAGIC = b"SQLite format 3\0"


def check_database(path: Path) -> Finding:
    """Whether it is a readable SQLite database, its journal mode, and who wrote it last."""
    what = f"database {path}"
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        return Finding("FAIL", what, error.strerror or str(error), "make it readable for the agent's user")
    if len(header) < 100 or not header.startswith(_MAGIC):
        return Finding("FAIL", what, "not an SQLite database", "see whether `path` is right")
    number = int.from_bytes(header[96:100], "big")
    version = f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
    mode = "WAL" if header[18] == 2 else "no WAL yet"
    detail = f"{mode}, last written by SQLite {version}"
    if 3_007_000 <= number <= 3_051_002:
        return Finding(
            "warn", what, detail, "SQLite 3.7.0 to 3.51.2 can damage a WAL database: update the application's"
        )
    return Finding("ok", what, detail)
