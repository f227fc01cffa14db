"""Which files are SQLite databases, by their first bytes, as another process sees them.

A POSIX lock belongs to a process, which loses it as soon as it closes any descriptor of the file: had this process
looked itself, the locks by which it has other databases open, or the same one, would be gone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MAGIC = b"SQLite format 3\0"

#: Seconds; a file system that answers later than that is asked again another time.
_PATIENCE = 20.0
#: Reads paths that end with a zero byte; writes a line for each: a database's size in bytes as its header has it, 0 for
#: what is none, or what is wrong.
_SCRIPT = """
import sys
for path in sys.stdin.buffer.read().split(b"\\0")[:-1]:
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(32)
    except OSError as error:
        print(error.strerror)
        continue
    page_size = int.from_bytes(head[16:18], "big")
    pages = int.from_bytes(head[28:32], "big")
    known = head.startswith(b"SQLite format 3\\0")
    print(max(1, (65536 if page_size == 1 else page_size) * pages) if known else 0)
"""


def check_heads(files: Sequence[Path]) -> list[int | str]:
    """For each file the size that its header tells, 0 if it is no database, or why it cannot be read; blocks.

    The size is 1 where a header tells none. Raises OSError if nothing was found out.
    """
    if not files:
        return []
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _SCRIPT],
            input=b"".join(os.fsencode(file) + b"\0" for file in files),
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"the process that looks at {len(files)} files failed ({type(error).__name__})") from error
    answers = done.stdout.decode().splitlines()
    if len(answers) != len(files):
        raise OSError(f"the process that looks at {len(files)} files told of {len(answers)}")
    return [int(answer) if answer.isdecimal() else answer for answer in answers]
