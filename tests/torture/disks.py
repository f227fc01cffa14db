"""Small disks that can be filled to the last byte and freed again."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from pathlib import Path

_PIECE = bytes(1 << 20)
_BALLOON = ".balloon"


class SmallDisk:
    """A file system of its own in memory; needs root."""

    def __init__(self, where: Path, megabytes: int) -> None:
        self.where = where
        self._megabytes = megabytes

    def mount(self) -> bool:
        """False where the system does not let us; then it is a plain directory, and cannot be filled."""
        self.where.mkdir(parents=True, exist_ok=True)
        options = f"size={self._megabytes}m,mode=0700"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.where)], capture_output=True, check=False
        )
        return done.returncode == 0

    def fill(self) -> None:
        """Until not one byte more can be had; whoever frees some in the meantime has it."""
        with contextlib.suppress(OSError), (self.where / _BALLOON).open("ab", buffering=0) as file:
            self._write(file.fileno())

    def free(self) -> None:
        (self.where / _BALLOON).unlink(missing_ok=True)

    def listing(self) -> str:
        """Its files with their sizes in bytes, the largest first."""
        sizes: dict[str, int] = {}
        for path in self.where.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    sizes[path.name] = path.stat().st_size
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
        return f"{sum(sizes.values())} bytes in {len(sizes)} files: " + ", ".join(f"{n} {size}" for n, size in largest)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.where)], capture_output=True, check=False)

    @staticmethod
    def _write(descriptor: int) -> None:
        piece = _PIECE
        while piece:
            try:
                os.write(descriptor, piece)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                piece = piece[: len(piece) // 2]
