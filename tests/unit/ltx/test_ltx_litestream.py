"""Files that Litestream wrote are read, and files made of their pages are what Litestream restores from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from litefleet.ltx import Header
from tests.support.sqlitewriter import run_sql
from tests.unit.ltx.samples import decoded, encoded


def litestream() -> str:
    beside = Path(sys.executable).parent / "litestream"
    found = str(beside) if beside.exists() else shutil.which("litestream")
    assert found is not None, "no litestream: install requirements/dev.txt"
    return found


def replicate(directory: Path) -> None:
    """Back up ``app.db`` into the directory ``copy``."""
    config = directory / "litestream.yml"
    config.write_text(f"dbs: [{{path: {directory}/app.db, replica: {{type: file, path: {directory}/copy}}}}]\n")
    subprocess.run([litestream(), "replicate", "-config", config, "-once"], check=True, capture_output=True, timeout=60)


def restore(copy: Path, output: Path) -> bytes:
    """What Litestream makes of a copy."""
    command: list[str | Path] = [litestream(), "restore", "-integrity-check", "full", "-o", output, f"file://{copy}"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return output.read_bytes()


def apply(files: list[Path]) -> tuple[list[Header], bytes]:
    """The headers of LTX files and the database that they make."""
    database = bytearray()
    headers = []
    for file in files:
        header, pages = decoded([file.read_bytes()], file.name)
        headers.append(header)
        database = database.ljust(header.commit * header.page_size, b"\0")
        for number, page in pages:
            database[(number - 1) * len(page) : number * len(page)] = page
        del database[header.commit * header.page_size :]
    return headers, bytes(database)


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_litestreams_files_are_read_and_ours_of_the_same_pages_are_restored(tmp_path: Path, page_size: int) -> None:
    run_sql(tmp_path / "app.db", f"PRAGMA page_size = {page_size}", "PRAGMA journal_mode = wal")
    run_sql(tmp_path / "app.db", "CREATE TABLE t (n INTEGER PRIMARY KEY, b)")
    for step in range(3):
        rows = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300) INSERT INTO t(b) SELECT randomblob"
        run_sql(tmp_path / "app.db", f"{rows}({20 + 300 * step}) FROM n", f"DELETE FROM t WHERE n % 7 = {step}")
        replicate(tmp_path)
    theirs = sorted((tmp_path / "copy/ltx/0").iterdir())
    assert [path.name for path in theirs] == [f"{n:016x}-{n:016x}.ltx" for n in (1, 2, 3)]
    headers, database = apply(theirs)
    assert [(header.min_txid, header.max_txid, header.page_size) for header in headers] == [
        (n, n, page_size) for n in (1, 2, 3)
    ]
    assert database == restore(tmp_path / "copy", tmp_path / "theirs.db")

    ours = tmp_path / "ours/ltx/0"
    ours.mkdir(parents=True)
    for path in theirs:
        header, pages = decoded([path.read_bytes()])
        content = encoded(header, pages)
        assert decoded([content]) == (header, pages)
        (ours / path.name).write_bytes(content)
    assert restore(tmp_path / "ours", tmp_path / "ours.db") == database
