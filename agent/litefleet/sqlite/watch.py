"""Wake up when a WAL is written to: one inotify instance for all databases, polling only where it cannot be had."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from inotify_simple import INotify, flags

log = logging.getLogger("litefleet.watch")

#: ATTRIB tells of a deleted file that is still open, as the WAL is here.
_WRITTEN = flags.MODIFY | flags.ATTRIB | flags.MOVE_SELF
_APPEARED = flags.CREATE | flags.MOVED_TO


class Watcher:
    """Use it as a context manager inside a running event loop."""

    def __init__(self) -> None:
        self._inotify: INotify | None = None
        self._events: dict[int, set[asyncio.Event]] = {}

    def __enter__(self) -> Self:
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            log.warning(
                "No file notification (%s): watching by polling; raise fs.inotify.max_user_instances", error.strerror
            )
            return self
        asyncio.get_running_loop().add_reader(self._inotify.fd, self._drain)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    @contextlib.contextmanager
    def written(self, path: Path, event: asyncio.Event) -> Iterator[bool]:
        """Set ``event`` whenever the file changes; yields False where only polling is left."""
        with self._watch(path, _WRITTEN, event) as works:
            yield works

    @contextlib.contextmanager
    def appeared(self, directory: Path, event: asyncio.Event) -> Iterator[bool]:
        """Set ``event`` whenever something appears in the directory; yields False where only polling is left."""
        with self._watch(directory, _APPEARED, event) as works:
            yield works

    @contextlib.contextmanager
    def _watch(self, path: Path, mask: flags, event: asyncio.Event) -> Iterator[bool]:
        descriptor = self._add(path, mask)
        if descriptor is None:
            yield False
            return
        waiting = self._events.setdefault(descriptor, set())
        waiting.add(event)
        try:
            yield True
        finally:
            waiting.discard(event)
            if not waiting:
                self._events.pop(descriptor, None)
                # A file that is gone took its watch along.
                with contextlib.suppress(OSError):
                    if self._inotify is not None:
                        self._inotify.rm_watch(descriptor)

    def _add(self, path: Path, mask: flags) -> int | None:
        if self._inotify is None:
            return None
        try:
            return int(self._inotify.add_watch(path, mask))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                log.warning("No file notification for %s: polling; raise fs.inotify.max_user_watches", path)
            elif error.errno != errno.ENOENT:
                log.warning("No file notification for %s (%s): polling", path, error.strerror)
            return None

    def _drain(self) -> None:
        assert self._inotify is not None
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                for waiting in self._events.values():
                    for waiter in waiting:
                        waiter.set()
                return
            for waiter in self._events.get(event.wd, ()):
                waiter.set()
