"""A directory's databases: names with placeholders, and what they become for a file that was found."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from pathlib import Path

from litefleet.config.settings import Database, Directory
from litefleet.config.urls import URLError, check_bucket, clean_path
from litefleet.errors import ConfigError

PLACEHOLDERS = ("name", "relative")
#: What a path below the directory gives each database when neither `bucket` nor `path` tells them apart.
DEFAULT_PATH = "{relative}"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}|[{}]")
_NOT_IN_BUCKETS = re.compile(r"[^A-Za-z0-9_-]")


def has_placeholder(text: str) -> bool:
    """Whether ``text`` has a `{` or `}` at all."""
    return _PLACEHOLDER.search(text) is not None


def check_bucket_template(text: str) -> None:
    """Raises URLError unless ``text`` becomes a bucket's name once its placeholders are filled in."""
    _check_placeholders(text)
    check_bucket(_filled(text, dict.fromkeys(PLACEHOLDERS, "x")))


def clean_path_template(text: str) -> str:
    """``text`` without slashes at its ends; raises URLError unless it becomes a path once it is filled in."""
    _check_placeholders(text)
    clean_path(_filled(text, dict.fromkeys(PLACEHOLDERS, "x")))
    return text.strip("/")


def expand(directory: Directory, file: Path) -> Database:
    """The database that ``file`` below the directory is; raises ConfigError if its name gives no place for a copy."""
    if not is_utf8(str(file)):
        raise ConfigError(f"{str(file)!r} cannot be replicated: SQLite's names are UTF-8", hint="rename it")
    relative = str(file.relative_to(directory.directory))
    values = {"name": file.stem, "relative": relative}
    template = directory.template.replica
    bucket = _filled(template.bucket, {key: _NOT_IN_BUCKETS.sub("-", value) for key, value in values.items()})
    try:
        check_bucket(bucket)
        path = clean_path(_filled(template.path, values))
    except URLError as error:
        raise ConfigError(
            f"{str(file)!r} cannot be replicated: {error}", hint="rename it, or leave it out by `pattern`"
        ) from None
    return replace(directory.template, path=file, replica=replace(template, bucket=bucket, path=path))


def is_utf8(text: str) -> bool:
    """Whether a name from the file system is text; SQLite opens no other."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_placeholders(text: str) -> None:
    for match in _PLACEHOLDER.finditer(text):
        if match[1] is None:
            raise URLError("has a `{` or `}` without the other; placeholders are {name} and {relative}")
        if match[1] not in PLACEHOLDERS:
            close = difflib.get_close_matches(match[1].lower(), PLACEHOLDERS, n=1)
            advice = f"did you mean {{{close[0]}}}?" if close else "there are {name} and {relative}"
            raise URLError(f"has an unknown placeholder; {advice}")


def _filled(text: str, values: dict[str, str]) -> str:
    """In one pass: what a file's name brings in is never looked at again."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)
