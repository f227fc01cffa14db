"""Files on the controller that only their owner may read. For this collection's own plugins only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Create ``path`` and what is missing above it; ``path`` itself is 0700."""
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write all of ``data`` or nothing, and have it on the disk before the name appears."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
