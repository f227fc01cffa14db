"""The databases of a directory, as its bucket tells of them: names of objects become paths of files again. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from litefleet.bucket.catalogue import Catalogue
from litefleet.bucket.names import parse_object_name
from litefleet.config.directories import expand, has_placeholder
from litefleet.config.settings import Database, Directory
from litefleet.errors import ConfigError
from litefleet.nats.objects import ObjectInfo

_PLACEHOLDER = re.compile(r"(\{(?:name|relative)\})")
_WILD = re.compile(r"[*?\[]")


def catalogues(objects: Iterable[ObjectInfo]) -> dict[str, Catalogue]:
    """The LTX files below each path of a bucket, the root's under the empty path."""
    found: dict[str, list[ObjectInfo]] = defaultdict(list)
    for info in objects:
        path, slash, rest = info.name.rpartition("/ltx/")
        name = f"ltx/{rest}" if slash else info.name
        if parse_object_name(name) is not None:
            found[path].append(replace(info, name=name) if slash else info)
    return {path: Catalogue.of(files) for path, files in found.items()}


def holds(directory: Directory, file: Path) -> bool:
    """Whether a database at ``file`` is one of the directory's, as far as its name tells."""
    if file == directory.directory or not file.is_relative_to(directory.directory) or ".." in file.parts:
        return False
    deep = file.parent != directory.directory
    return (directory.recursive or not deep) and fnmatchcase(file.name, directory.pattern)


def require_mappable(directory: Directory) -> None:
    """Raises ConfigError if the objects of a bucket cannot tell which files below the directory they are of."""
    replica = directory.template.replica
    if has_placeholder(replica.bucket):
        raise _unmappable(directory, f"each has a bucket of its own (`{replica.bucket}`), and nobody lists buckets")
    if "{relative}" not in replica.path and _ending(directory) is None:
        raise _unmappable(directory, f"`{replica.path}` does not tell where below the directory each of them was")


def members(directory: Directory, paths: Iterable[str]) -> tuple[Database, ...]:
    """The databases of a directory whose copies are below ``paths`` of its bucket, in order of their files.

    Raises ConfigError as ``require_mappable`` does.
    """
    require_mappable(directory)
    found: dict[Path, Database] = {}
    for path in paths:
        for value in _values(directory.template.replica.path, path):
            database = _database(directory, value, path)
            if database is not None:
                found[database.path] = database
    return tuple(found[file] for file in sorted(found))


def _database(directory: Directory, value: str, path: str) -> Database | None:
    """The database whose file ``value`` tells, if its copies are what is below ``path``."""
    by_name = "{relative}" not in directory.template.replica.path
    relative = f"{value}{_ending(directory)}" if by_name else value
    # Whatever stands in a bucket, nothing outside the directory is written to.
    if any(part in ("", ".", "..") or "\0" in part for part in relative.split("/")):
        return None
    file = directory.directory / relative
    try:
        database = expand(directory, file) if holds(directory, file) else None
    except ConfigError:
        return None
    return database if database is not None and database.replica.path == path else None


def _values(template: str, path: str) -> Iterator[str]:
    """What {relative}, or else {name}, can stand for if ``path`` is of the template; most often that is one text."""
    parts = _PLACEHOLDER.split(template)
    wanted, other = ("{relative}", "{name}") if "{relative}" in parts else ("{name}", "{relative}")
    left = len(path) - sum(len(part) for part in parts if part not in (wanted, other))
    others = parts.count(other)
    before = parts[: parts.index(wanted)]
    for length in range(1, left // parts.count(wanted) + 1):
        rest = left - length * parts.count(wanted)
        if rest % others if others else rest:
            continue
        start = sum(rest // others if part == other else len(part) for part in before)
        yield path[start : start + length]


def _ending(directory: Directory) -> str | None:
    """What follows {name} in the names of all files; None if that is not the same for all, or not all there is."""
    start, ending = directory.pattern[:1], directory.pattern[1:]
    alike = start == "*" and ending and not _WILD.search(ending) and Path(f"x{ending}").suffix == ending
    return ending if alike and not directory.recursive else None


def _unmappable(directory: Directory, why: str) -> ConfigError:
    return ConfigError(
        f"Which databases of {directory.directory} there were cannot be told: {why}",
        hint=f"restore them one by one: `litefleet restore {directory.directory}/NAME`;"
        " one bucket with `path: '{relative}'` would tell",
    )
