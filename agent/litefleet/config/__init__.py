"""The agent's configuration: YAML in the form of Litestream's NATS guide, read into typed settings.

Everything wrong with a file is reported together, in one ConfigError, each problem with its line and key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from litefleet.config.agent import DEFAULT_SOCKET
from litefleet.config.directories import expand
from litefleet.config.document import Context, Problems
from litefleet.config.effective import describe, effective
from litefleet.config.files import UnreadableFile, read_text
from litefleet.config.reader import read_settings
from litefleet.config.settings import (
    TLS,
    Credentials,
    Database,
    Directory,
    Logging,
    Replica,
    Server,
    Settings,
    Socket,
    Spool,
)
from litefleet.config.urls import ForeignURL, URLError, parse_urls
from litefleet.errors import ConfigError, UsageError

__all__ = [
    "DEFAULT_PATH",
    "DEFAULT_SOCKET",
    "TLS",
    "Credentials",
    "Database",
    "Directory",
    "Logging",
    "Replica",
    "Server",
    "Settings",
    "Socket",
    "Spool",
    "default_path",
    "describe",
    "effective",
    "expand",
    "load",
    "parse",
    "replica_from_url",
]

DEFAULT_PATH = Path("/etc/litefleet/litefleet.yml")
_MAX_BYTES = 16 * 1024 * 1024


def default_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The file to read when none is named: ``$LITEFLEET_CONFIG``, else :data:`DEFAULT_PATH`."""
    return Path(environ.get("LITEFLEET_CONFIG") or DEFAULT_PATH)


def load(path: Path, *, expand_env: bool = True) -> Settings:
    """The settings of a file; the files it names (CAs, credentials) are looked at too. Raises ConfigError."""
    try:
        text = read_text(path, limit=_MAX_BYTES)
    except UnreadableFile as error:
        raise ConfigError(
            f"{path}: the configuration file {error}", hint="LITEFLEET_CONFIG or the command line can name another file"
        ) from None
    context = Context(Problems(str(path)), os.environ if expand_env else None, check_files=True, process=os.environ)
    return read_settings(text, context)


def parse(text: str, *, source: str, expand_env: bool = True, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in ``text``, without a look at the files it names; ``source`` names it in a ConfigError."""
    return read_settings(text, Context(Problems(source), environ if expand_env else None, process=environ))


def replica_from_url(url: str) -> Replica:
    """The replica of ``nats://[USER:PASSWORD@]HOST[:PORT][,HOST…]/BUCKET[/PATH]``, as commands take it.

    Raises UsageError.
    """
    advice = "write nats://HOST:PORT/BUCKET, or name a database of the configuration file"
    try:
        location = parse_urls([url])
    except ForeignURL as error:
        raise UsageError(f"the replica's URL: {error}", hint=advice) from None
    except URLError as error:
        raise UsageError(f"the replica's URL {error}") from None
    if location.bucket is None:
        raise UsageError("the replica's URL names no bucket", hint=advice)
    credentials = Credentials(username=location.username, password=location.password, token=location.token)
    server = Server(location.urls, credentials, TLS() if location.tls else None)
    return Replica(server, location.bucket, location.path)
