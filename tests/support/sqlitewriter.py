"""SQLite as an application uses it, in a process of its own.

A process that has a database open loses its locks when it opens and closes the file a second time in any other way, so
a test must not write to a database from the process that runs the agent's code.

    with Writer(path) as app:
        app.run("CREATE TABLE t (x)")
        app.run("INSERT INTO t VALUES (?)", [[1], [2]])
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Writer:
    """One connection, open until the block ends; transactions are as the statements say, no others."""

    def __init__(self, path: Path, *, page_size: int = 4096, wal: bool = True) -> None:
        """WAL mode without checkpoints of its own, unless ``wal`` is false."""
        self._process = subprocess.Popen(
            # -P: the modules beside this file are not to stand in for those of the standard library.
            [sys.executable, "-P", __file__, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if wal:
            self.run(f"PRAGMA page_size = {page_size}")
            assert self.run("PRAGMA journal_mode = wal") == [["wal"]]
            self.run("PRAGMA wal_autocheckpoint = 0")

    def run(self, sql: str, rows: Sequence[Sequence[Any]] | None = None) -> list[list[Any]]:
        """The rows of a statement, run once, or once for each of ``rows``; raises AssertionError if it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([sql, rows]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the writer is gone"
        answer = json.loads(line)
        assert isinstance(answer, list), f"{sql}: {answer}"
        return answer

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def run_sql(path: Path, *statements: str) -> list[list[Any]]:
    """Run statements in a process that ends; the rows of the last one."""
    rows: list[list[Any]] = []
    with Writer(path, wal=False) as app:
        for statement in statements:
            rows = app.run(statement)
    return rows


def _serve(path: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    for line in sys.stdin:
        sql, rows = json.loads(line)
        try:
            answer: Any = []
            for row in [()] if rows is None else rows:
                answer = [list(found) for found in connection.execute(sql, row)]
        except sqlite3.Error as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)
    connection.close()


if __name__ == "__main__":
    _serve(sys.argv[1])
