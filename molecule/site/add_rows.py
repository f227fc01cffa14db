# ruff: noqa: INP001 - a script for test hosts
"""Add rows to the SQLite databases of the command line, one transaction each, as their owner would."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

for path in map(Path, sys.argv[1:]):
    owner = path.stat()
    child = os.fork()
    if child == 0:
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
        database = sqlite3.connect(path, isolation_level=None)
        for number in range(100):
            database.execute("INSERT INTO entry (body) VALUES (?)", (f"later {number}",))
        database.close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"{path}: cannot be written by its owner")
