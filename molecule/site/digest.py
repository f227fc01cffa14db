# ruff: noqa: INP001 - a script for test hosts
"""Print a digest of the content of each SQLite database of the command line, one per line."""

from __future__ import annotations

import hashlib
import sqlite3
import sys

for path in sys.argv[1:]:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    digest = hashlib.sha256()
    for line in database.iterdump():
        digest.update(line.encode())
    count = database.execute("SELECT count(*) FROM entry").fetchone()[0]
    print(digest.hexdigest(), count)
    database.close()
