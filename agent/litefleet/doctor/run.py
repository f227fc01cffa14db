"""All checks of one configuration file."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from itertools import chain
from pathlib import Path

from litefleet.config import load
from litefleet.config.settings import Database, Server, Settings
from litefleet.doctor.buckets import check_buckets
from litefleet.doctor.configuration import check_configuration
from litefleet.doctor.databases import check_database
from litefleet.doctor.directories import check_directory
from litefleet.doctor.finding import Finding
from litefleet.doctor.host import check_host
from litefleet.doctor.servers import check_login, check_servers
from litefleet.doctor.together import together
from litefleet.errors import ConfigError


async def check_file(path: Path, *, expand_env: bool = True, read_only: bool = False) -> list[Finding]:
    """Everything that the file names: configuration, host, servers, buckets, databases.

    With ``read_only`` nothing is written to any bucket, and what only a replicating agent needs is left out.
    """
    try:
        settings = await asyncio.to_thread(load, path, expand_env=expand_env)
    except ConfigError as error:
        return [Finding("problem", "configuration", f"configuration {path}", error.message, error.hint)]
    findings, databases = await asyncio.to_thread(_on_this_host, path, settings, read_only=read_only)
    by_server: dict[Server, list[Database]] = {}
    for database in databases:
        by_server.setdefault(database.replica.server, []).append(database)
    for directory in settings.directories:
        by_server.setdefault(directory.template.replica.server, [])
    for server in by_server:
        findings += await asyncio.to_thread(check_login, server)
    found = await together([partial(check_servers, server) for server in by_server])
    host = settings.identity or socket.gethostname()
    found += await together(
        [
            partial(check_buckets, server, there, host=host, read_only=read_only)
            for server, there in by_server.items()
            if there
        ]
    )
    return findings + list(chain.from_iterable(found))


def _on_this_host(path: Path, settings: Settings, *, read_only: bool) -> tuple[list[Finding], list[Database]]:
    """What there is to find without a server, and the databases that there are."""
    findings = check_configuration(path, settings)
    databases = list(settings.databases)
    for directory in settings.directories:
        found, there = check_directory(directory)
        findings += found
        databases += there
    if not read_only:
        findings += check_host(settings, len(databases))
        for database in databases:
            findings += check_database(database)
    return findings, databases
