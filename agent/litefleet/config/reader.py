"""The whole file: its databases, and what holds for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from litefleet.config.agent import read_agent
from litefleet.config.databases import Found, read_entry
from litefleet.config.document import Context, Section, read
from litefleet.config.keys import LOGGING, TOP, check_keys, part
from litefleet.config.lifetimes import duration, read_lifetimes
from litefleet.config.settings import Logging, Settings
from litefleet.config.targets import Targets, in_the_way

_SETTINGS = Settings(databases=())
_LOG_LEVELS = ("debug", "info", "warn", "error")


def read_settings(text: str, context: Context) -> Settings:
    """The settings in ``text``; raises ConfigError with all problems."""
    settings = _SETTINGS
    top = read(text, context)
    if top is not None:
        check_keys(top, TOP)
        found = list(_entries(top))
        _check_paths(found)
        _check_targets(found)
        settings = Settings(
            databases=tuple(one.database for one in found if one.directory is None),
            directories=tuple(one.directory for one in found if one.directory is not None),
            logging=_logging(top),
            **read_lifetimes(top),
            **read_agent(top),
            shutdown_sync_timeout=duration(top, "shutdown-sync-timeout", _SETTINGS.shutdown_sync_timeout, zero=True),
        )
    context.problems.raise_if_any()
    return settings


def _entries(top: Section) -> Iterator[Found]:
    dbs = top.get("dbs")
    if dbs is None:
        top.problem("`dbs` is missing: there is nothing to protect; list the databases under it")
        return
    entries = dbs.items()
    if entries is not None and not entries:
        dbs.problem("is empty: there is nothing to protect; list the databases under it")
    for entry in entries or ():
        section = entry.section()
        found = read_entry(entry, section, top) if section else None
        if found is not None:
            yield found


def _check_paths(found: list[Found]) -> None:
    """Symbolic links are followed: two names of one file are still one database."""
    seen: dict[tuple[str, str], Found] = {}
    for one in found:
        what, pattern = ("directory", one.directory.pattern) if one.directory else ("database", "")
        first = seen.setdefault((os.path.realpath(one.database.path), pattern), one)
        if first is not one:
            one.entry.problem(f"is the same {what} as {first.entry.path} ({first.database.path}); keep one of them")


def _check_targets(found: list[Found]) -> None:
    """Those of a directory's databases show only when they are found."""
    targets: Targets[Found] = Targets()
    for one in found:
        replica = one.database.replica
        claim = targets.claim(replica, one) if one.directory is None else None
        if claim is not None:
            one.entry.problem(in_the_way(replica, claim, claim.owner.entry.path))


def _logging(top: Section) -> Logging:
    section = part(top, "logging", LOGGING)
    if section is None:
        return Logging()
    level, kind = section.get("level"), section.get("type")
    return Logging(
        level=(level and level.choice(*_LOG_LEVELS)) or Logging().level,
        type=(kind and kind.choice("text", "json")) or Logging().type,
    )
