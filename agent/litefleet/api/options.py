"""Arguments of a program as a configuration: its keys, with ``_`` for ``-``, and the same checks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from litefleet.config.document import Context, Problems
from litefleet.config.keys import DATABASE, DIRECTORY_ONLY
from litefleet.config.reader import read_settings
from litefleet.config.settings import Settings
from litefleet.config.values import format_duration
from litefleet.errors import ConfigError, UsageError

#: A URL, or what stands under ``replica`` in the configuration file.
ReplicaLike = str | Mapping[str, object]
PathLike = str | os.PathLike[str]

#: Keys that each entry of `dbs` gets; the others are for the top level.
_EACH = DATABASE.known - {"path", "dir", "replica", "replicas", *DIRECTORY_ONLY}
_NOT_HERE = {
    "dbs": "databases and their replicas are arguments of their own",
    "socket": "the program talks to the agent over one of its own",
    "logging": "set up Python's `logging` for `litefleet` instead",
}
_SOURCE = "options"


def absolute(path: PathLike) -> Path:
    """The path as the agent has it; symbolic links are not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def configuration(databases: Mapping[PathLike, ReplicaLike], options: Mapping[str, object]) -> dict[str, object]:
    """The content of a configuration file; raises UsageError."""
    if not databases:
        raise UsageError("There is no database to replicate", hint="give a path and a replica for each")
    named = {key.replace("_", "-"): _plain(value) for key, value in options.items()}
    for key, hint in _NOT_HERE.items():
        if key in named:
            raise UsageError(f"`{key}` cannot be given here", hint=hint)
    each = {key: value for key, value in named.items() if key in _EACH}
    dbs = [
        {"path": str(absolute(path)), **each, "replica": {"url": where} if isinstance(where, str) else _plain(where)}
        for path, where in databases.items()
    ]
    return {**{key: value for key, value in named.items() if key not in _EACH}, "dbs": dbs}


def written(content: Mapping[str, object]) -> bytes:
    """The content as a file (JSON is YAML); bytes of names that are not UTF-8 become escapes."""
    return json.dumps(content, ensure_ascii=False).encode(errors="backslashreplace")


def checked(content: Mapping[str, object]) -> Settings:
    """The settings that the content means; the files that it names are looked at. Raises ConfigError."""
    text = written(content).decode()
    try:
        return read_settings(text, Context(Problems(_SOURCE), None, check_files=True))
    except ConfigError as error:
        # It is all in one line, which nobody has seen.
        message = error.message.replace(f"{_SOURCE}:1: ", "").replace(f"{_SOURCE}: ", "")
        raise ConfigError(message, hint=error.hint) from None


def _plain(value: object) -> object:
    """Paths and times as the file has them."""
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, timedelta):
        return format_duration(value.total_seconds())
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
