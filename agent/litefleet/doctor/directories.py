"""Directories of databases: what is in them now, as the agent would find it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from litefleet.config.directories import expand
from litefleet.config.settings import Database, Directory
from litefleet.doctor.finding import Finding
from litefleet.errors import ConfigError

_MAGIC = b"SQLite format 3\0"
_COMPANIONS = ("-wal", "-shm", "-journal")


def check_directory(directory: Directory) -> tuple[list[Finding], list[Database]]:
    """What is wrong with it, and the databases in it; blocks for a moment."""
    what = f"directory {directory.directory}"
    if not directory.directory.is_dir():
        hint = "create it, or correct `dir`"
        return [Finding("problem", "directory", what, "not a directory, or not to be seen by this user", hint)], []
    refused: list[OSError] = []
    findings, databases = [], []
    for file in _files(directory, refused):
        try:
            databases.append(expand(directory, file))
        except ConfigError as error:
            findings.append(Finding("problem", "directory", what, error.message, error.hint))
    for failure in refused:
        detail = f"{failure.filename} cannot be read: {failure.strerror}"
        findings.append(Finding("warning", "directory", what, detail, "make it readable for the agent's user"))
    count = f"{len(databases)} database{'' if len(databases) == 1 else 's'}"
    if not databases:
        hint = f"see whether `pattern` ({directory.pattern}) and `recursive` are right"
        findings.append(Finding("warning", "directory", what, f"no database matches {directory.pattern}", hint))
    else:
        findings.append(Finding("ok", "directory", what, f"{count} match {directory.pattern}"))
    return findings, databases


def _files(directory: Directory, refused: list[OSError]) -> Iterator[Path]:
    for place, below, names in os.walk(directory.directory, onerror=refused.append):
        if not directory.recursive:
            below.clear()
        for name in sorted(names):
            if fnmatch.fnmatchcase(name, directory.pattern) and not name.endswith(_COMPANIONS):
                file = Path(place) / name
                try:
                    if _is_database(file):
                        yield file
                except OSError as error:
                    refused.append(error)


def _is_database(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return content.read(len(_MAGIC)) == _MAGIC
