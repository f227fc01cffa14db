"""A database that is added to a running agent: an entry of ``dbs``, whose replica may be just a URL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from litefleet.config import parse
from litefleet.config.settings import TLS, Credentials, Database, Replica, Server, Settings
from litefleet.errors import ConfigError, UsageError

_SOURCE = "request"


def database_of(entry: Mapping[str, object], settings: Settings) -> Database:
    """The database of ``entry``; raises UsageError or ConfigError.

    A replica without credentials of its own on a server that the configuration has uses the configuration's.
    """
    if not isinstance(entry.get("path"), str) or "replica" not in entry:
        raise UsageError("A database needs `path` and `replica`", hint="the replica is nats://HOST:PORT/BUCKET")
    where = entry["replica"]
    whole = {**entry, "replica": {"url": where} if isinstance(where, str) else where}
    try:
        # JSON is YAML: it is checked as an entry of the configuration file is.
        parsed = parse(json.dumps({"dbs": [whole]}), source=_SOURCE, expand_env=False)
    except ConfigError as error:
        message = error.message.replace(f"{_SOURCE}:1: dbs[0].", "").replace(f"{_SOURCE}:1: ", "")
        raise ConfigError(message, hint=error.hint) from None
    if len(parsed.databases) != 1:
        raise UsageError("A directory cannot be added", hint="write it into the configuration, then `litefleet reload`")
    database = parsed.databases[0]
    return replace(database, replica=_with_known_server(database.replica, settings))


def _with_known_server(replica: Replica, settings: Settings) -> Replica:
    own = replica.server
    if own.credentials == Credentials() and own.tls in (None, TLS()):
        for server in _servers(settings):
            if set(server.urls) & set(own.urls):
                return replace(replica, server=server)
    return replica


def _servers(settings: Settings) -> Iterator[Server]:
    for database in settings.databases:
        yield database.replica.server
    for directory in settings.directories:
        yield directory.template.replica.server
