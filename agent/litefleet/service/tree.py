"""One directory of databases: what is in it, what came and what went since the last look."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from litefleet.config.settings import Directory
from litefleet.service.heads import MAGIC, check_heads

log = logging.getLogger("litefleet.service")

#: Seconds without a change after which a file that is shorter than its header says is a database all the same.
_COPIED = 10.0
_COMPANIONS = ("-wal", "-shm", "-journal")

#: Device, inode, size and time of change: the same again needs no second look.
_Stamp = tuple[int, int, int, int]


@dataclass
class Changes:
    """What a look has found: databases that are new, and those that are not there any more."""

    found: list[Path] = field(default_factory=list)
    gone: list[Path] = field(default_factory=list)


@dataclass
class _Place:
    """A directory that was listed; its files by name."""

    #: Databases, with their real paths.
    databases: dict[str, str] = field(default_factory=dict)
    #: What matches and is no database.
    others: dict[str, _Stamp] = field(default_factory=dict)
    #: Those of ``others`` that no event may tell of: too short yet, or not to be read.
    again: set[str] = field(default_factory=set)
    #: Those of ``again`` that somebody seems to be copying.
    copied: set[str] = field(default_factory=set)
    #: Other names of databases that somebody has.
    aliases: set[str] = field(default_factory=set)
    below: set[Path] = field(default_factory=set)

    def names(self) -> set[str]:
        """Everything that is known by name."""
        return {*self.databases, *self.others, *self.aliases}

    def forget(self, name: str) -> None:
        """What is known of a file that is no database."""
        self.others.pop(name, None)
        for names in (self.again, self.copied, self.aliases):
            names.discard(name)


@dataclass(frozen=True)
class _Candidate:
    place: _Place
    file: Path
    real: str
    found: os.stat_result

    @property
    def stamp(self) -> _Stamp:
        """What it looks like from outside."""
        return (self.found.st_dev, self.found.st_ino, self.found.st_size, self.found.st_ctime_ns)

    @property
    def is_long_enough(self) -> bool:
        """Whether its first bytes can tell anything."""
        return self.found.st_size >= len(MAGIC)

    def is_being_copied(self, size: int) -> bool:
        """Whether it is shorter than the ``size`` in its header, and somebody wrote to it just now."""
        return self.found.st_size < size and time.time() - self.found.st_mtime < _COPIED


def database_beside(name: str) -> str | None:
    """The name of the database that a companion file belongs to; None if it is no such file."""
    return next((name.removesuffix(end) for end in _COMPANIONS if name.endswith(end)), None)


class Tree:
    """The databases of a directory. Its methods block, and belong to one thread at a time.

    ``owners`` has the real path of every database that somebody has; trees that overlap share it. ``watch`` is called
    before a place is listed, so that nothing comes in between unseen; ``unwatch`` when it is no place any more.
    """

    def __init__(
        self,
        directory: Directory,
        owners: dict[str, Path],
        watch: Callable[[Tree, Path], None] = lambda _tree, _place: None,
        unwatch: Callable[[Tree, Path], None] = lambda _tree, _place: None,
    ) -> None:
        self.directory = directory
        #: Places to look at again after a while.
        self.unsettled: set[Path] = set()
        self._owners = owners
        self._watch, self._unwatch = watch, unwatch
        self._places: dict[Path, _Place] = {}
        self._said: set[str] = set()

    @property
    def root(self) -> Path:
        """The directory itself."""
        return self.directory.directory

    def places(self) -> list[Path]:
        """Every directory that was listed."""
        return list(self._places)

    def aliased(self) -> list[Path]:
        """Places with other names of databases that somebody has."""
        return [place for place, content in self._places.items() if content.aliases]

    def concerns(self, place: Path, name: str, *, closed: bool) -> bool:
        """Whether that something happened to a file of this name is worth a look; ``closed`` is all that happened."""
        content = self._places.get(place)
        if content is None:
            return False
        database = database_beside(name)
        if database is not None:
            return database in content.others
        return self._matches(name) and not (closed and name in content.databases)

    def look(self, places: Iterable[Path] = ()) -> Changes:
        """List these places, the root if there are none, and new ones below; blocks."""
        changes = Changes()
        candidates: list[_Candidate] = []
        self.unsettled = self.unsettled.difference(wanted := set(places) or {self.root})
        waiting = sorted(wanted, reverse=True)
        while waiting:
            waiting += self._list(waiting.pop(), changes, candidates)
        self._judge(candidates, changes)
        return changes

    def _matches(self, name: str) -> bool:
        restoring = name.startswith(".") and name.endswith(".restoring")
        return fnmatchcase(name, self.directory.pattern) and database_beside(name) is None and not restoring

    def _list(self, place: Path, changes: Changes, candidates: list[_Candidate]) -> list[Path]:
        """Compare a place with what was known of it; returns places below that are new."""
        self._watch(self, place)
        try:
            with os.scandir(place) as listing:
                # Of several names of one file the real one is the first.
                entries = sorted(listing, key=lambda entry: (entry.is_symlink(), entry.name))
            files = [entry for entry in entries if self._matches(entry.name) and _is_file(entry)]
            below = {place / entry.name for entry in entries if _is_directory(entry)}
        except (FileNotFoundError, NotADirectoryError):
            if place == self.root:
                self.unsettled.add(place)
                self._say(f"{place}: does not exist; its databases are found as soon as it does")
            self._leave(place, changes)
            return []
        except OSError as error:
            # Not to be seen is not gone.
            self.unsettled.add(place)
            self._say(f"{place}: cannot be listed for databases: {error.strerror}")
            return []
        content = self._places.setdefault(place, _Place())
        names = {entry.name for entry in files}
        self._forget(place, content, content.names() - names, changes)
        candidates += self._candidates(place, content, files)
        if not self.directory.recursive:
            return []
        for lost in content.below - below:
            self._leave(lost, changes)
        new = below - content.below
        content.below = below
        return sorted(new, reverse=True)

    def _candidates(self, place: Path, content: _Place, files: list[os.DirEntry[str]]) -> Iterator[_Candidate]:
        real_place = os.path.realpath(place)
        for entry in files:
            if entry.name in content.databases:
                continue
            file = place / entry.name
            real = os.path.realpath(file) if entry.is_symlink() else f"{real_place}/{entry.name}"
            if real in self._owners:
                self._note_alias(content, file, real)
                continue
            try:
                found = entry.stat()
            except OSError:
                continue  # gone in the meantime, which is told too
            candidate = _Candidate(content, file, real, found)
            if content.others.get(entry.name) != candidate.stamp or entry.name in content.copied:
                yield candidate
            elif entry.name in content.again:
                self.unsettled.add(place)

    def _judge(self, candidates: list[_Candidate], changes: Changes) -> None:
        try:
            answers = iter(check_heads([one.file for one in candidates if one.is_long_enough]))
        except OSError as error:
            self._say(f"{self.root}: {error}; tried again")
            self.unsettled |= {one.file.parent for one in candidates}
            return
        for one in candidates:
            self._settle(one, next(answers) if one.is_long_enough else "", changes)

    def _settle(self, one: _Candidate, answer: int | str, changes: Changes) -> None:
        content, name = one.place, one.file.name
        content.forget(name)
        if answer and isinstance(answer, int) and not one.is_being_copied(answer):
            if one.real in self._owners:
                self._note_alias(content, one.file, one.real)
                return
            content.databases[name] = one.real
            self._owners[one.real] = one.file
            changes.found.append(one.file)
            return
        content.others[name] = one.stamp
        if answer == 0:
            return
        content.again.add(name)
        self.unsettled.add(one.file.parent)
        if isinstance(answer, int):
            content.copied.add(name)
        elif answer:
            self._say(f"{one.file}: cannot be read: {answer}")

    def _note_alias(self, content: _Place, file: Path, real: str) -> None:
        content.aliases.add(file.name)
        owner = self._owners[real]
        if owner != file:
            self._say(f"{file}: is another name of {owner}, which is replicated already")

    def _leave(self, place: Path, changes: Changes) -> None:
        """A directory that is not there any more, with all that was in it."""
        waiting = [place]
        while waiting:
            one = waiting.pop()
            content = self._places.pop(one, None)
            if content is not None:
                waiting += content.below
                self._forget(one, content, content.names(), changes)
            self._unwatch(self, one)
            if one != self.root:
                self.unsettled.discard(one)

    def _forget(self, place: Path, content: _Place, names: Iterable[str], changes: Changes) -> None:
        for name in sorted(names):
            content.forget(name)
            real = content.databases.pop(name, None)
            if real is not None:
                del self._owners[real]
                changes.gone.append(place / name)

    def _say(self, text: str) -> None:
        """A warning that is not repeated at the next look."""
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a symbolic link that leads nowhere, or round and round
        return False


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Links are not followed: they can lead to what is above."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
