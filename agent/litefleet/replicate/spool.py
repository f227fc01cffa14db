"""Where level 0 files wait on disk while the bucket cannot be reached; they may be lost, the bucket is the truth.

A file is there once its ``.json`` is: that is written last, and says what the ``.ltx`` beside it must be.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from litefleet.errors import LitefleetError
from litefleet.ltx import HEADER_SIZE, Header

log = logging.getLogger("litefleet.spool")

_BASE = "base.json"


class SpoolFull(LitefleetError):
    """No room for another file: neither in the budget nor, perhaps, on the disk."""

    exit_code = 8
    retryable = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """One level 0 file that waits."""

    header: Header
    headers: Mapping[str, str]
    size: int
    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class Position:
    """Where a level 0 file leaves the database: its header, and the headers of its object."""

    header: Header
    headers: Mapping[str, str]


class SpoolBudget:
    """The bytes that the spools of all databases may use together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._turn = Lock()

    def take(self, size: int) -> bool:
        """Whether there was room for ``size`` bytes; then they are used."""
        with self._turn:
            if self.used + size > self.limit:
                return False
            self.used += size
            return True

    def give(self, size: int) -> None:
        """Bytes that are free again."""
        with self._turn:
            self.used = max(0, self.used - size)


class Spool:
    """The files of one database, in order; methods that touch the disk block."""

    def __init__(self, root: Path, key: str, budget: SpoolBudget) -> None:
        """``key`` tells databases and their replicas apart."""
        self._directory = root / hashlib.sha256(key.encode()).hexdigest()[:32]
        self._budget = budget
        self._files: deque[Waiting] = deque()
        #: Bytes on disk.
        self.size = 0
        #: What the first file follows: the newest level 0 file in the bucket, its header and its object headers.
        self.base: Position | None = None

    def __len__(self) -> int:
        return len(self._files)

    @property
    def files(self) -> tuple[Waiting, ...]:
        """What waits, oldest first."""
        return tuple(self._files)

    @property
    def first(self) -> Waiting:
        """The oldest; only where something waits."""
        return self._files[0]

    def load(self) -> None:
        """Find what an earlier run left; what is not whole, and all that follows a gap, is removed."""
        try:
            self._load()
        except OSError as error:
            log.warning("%s cannot be used: %s", self._directory, error.strerror or error)

    def _load(self) -> None:
        self._forget()
        self.base = _read_base(self._directory / _BASE)
        there = self._directory.glob("*.json") if self._directory.is_dir() and self.base else ()
        found = sorted(path for path in there if path.name != _BASE)
        for marker in found:
            file = _read_marker(marker)
            if file is None or file.header.min_txid != self.end.header.max_txid + 1 or not self._budget.take(file.size):
                log.warning("%s is damaged, follows a gap or is too much: it and what follows it is dropped", marker)
                break
            self._files.append(file)
            self.size += file.size
        keep = {_BASE} | {
            name for file in self._files for name in (file.path.name, file.path.with_suffix(".json").name)
        }
        for path in self._directory.iterdir() if self._directory.is_dir() else ():
            if path.name not in keep:
                path.unlink(missing_ok=True)

    @property
    def end(self) -> Position:
        """Where the newest file, or the base, leaves the database; only where there is a base."""
        assert self.base is not None
        return Position(self._files[-1].header, self._files[-1].headers) if self._files else self.base

    def set_base(self, base: Position) -> None:
        """Remember what is in the bucket, so that a start without it can go on from there; only while nothing waits."""
        assert not self._files
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(_BASE, {"header": base.header.pack().hex(), "headers": dict(base.headers)})
        except OSError as error:
            raise self._full(error.strerror or str(error)) from None
        self.base = base

    def add(self, header: Header, headers: Mapping[str, str], blocks: Iterable[bytes]) -> None:
        """Keep a file, durably. Raises ``SpoolFull``; then nothing of it is kept."""
        size, kept = 0, False
        path = self._directory / f"{header.max_txid:016x}.ltx"
        digest = hashlib.sha256()
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123 -- a descriptor, for its mode
                for block in blocks:
                    if not self._budget.take(len(block)):
                        raise self._full(f"its limit of {self._budget.limit} bytes is reached")
                    size += len(block)
                    digest.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            position = {"header": header.pack().hex(), "headers": dict(headers)}
            self._write(path.with_suffix(".json").name, {"size": size, "sha256": digest.hexdigest(), **position})
            kept = True
        except OSError as error:
            raise self._full(error.strerror or str(error)) from None
        finally:
            if not kept:
                self._budget.give(size)
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        self._files.append(Waiting(header, dict(headers), size, digest.hexdigest(), path))
        self.size += size

    def read(self, file: Waiting) -> bytes | None:
        """The content of a file; None if the disk does not hold what was written."""
        try:
            content = file.path.read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == file.sha256 else None

    def remove_first(self) -> None:
        """The oldest file has arrived; what is left follows it."""
        if len(self._files) == 1:
            self.clear()
            return
        file = self._files.popleft()
        self.base = Position(file.header, file.headers)
        self._budget.give(file.size)
        self.size -= file.size
        # At once, so that the rest follows a base whenever the agent is killed. What fails here is found by ``load``.
        with suppress(OSError):
            file.path.with_suffix(".json").rename(self._directory / _BASE)
            file.path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Give up all of it."""
        self._forget()
        self._remove_directory()

    def _forget(self) -> None:
        self.base = None
        self._budget.give(self.size)
        self._files.clear()
        self.size = 0

    def _remove_directory(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        marker = self._directory / name
        temporary = marker.with_suffix(".tmp")
        with temporary.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(marker)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _full(self, why: str) -> SpoolFull:
        return SpoolFull(
            f"The spool {self._directory.parent} takes no more: {why}",
            hint="bring the NATS servers back, or make room there (`spool: {limit: …}`)",
        )


def _read_base(path: Path) -> Position | None:
    try:
        content = json.loads(path.read_bytes())
        header = Header.unpack(bytes.fromhex(content["header"]))
        return Position(header, {str(key): str(value) for key, value in content["headers"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, LitefleetError):
        return None


def _read_marker(marker: Path) -> Waiting | None:
    path = marker.with_suffix(".ltx")
    try:
        content = json.loads(marker.read_bytes())
        with path.open("rb") as file:
            header = Header.unpack(file.read(HEADER_SIZE))
            size = os.fstat(file.fileno()).st_size
        headers = {str(key): str(value) for key, value in content["headers"].items()}
        if size != content["size"] or path.name != f"{header.max_txid:016x}.ltx":
            return None
        return Waiting(header, headers, size, str(content["sha256"]), path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, LitefleetError):
        return None
