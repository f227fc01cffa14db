"""Settings written back in the form of the file, with every default filled in and every secret hidden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from litefleet.config.settings import Credentials, Database, Directory, Replica, Settings, Socket
from litefleet.config.values import format_duration

MASK = "***"


def effective(settings: Settings) -> dict[str, object]:
    """A configuration file's content, ready for ``yaml.safe_dump``; secrets are ``***``."""
    shown = {
        "logging": {"level": settings.logging.level, "type": settings.logging.type},
        "snapshot": {
            "interval": format_duration(settings.snapshot_interval),
            "retention": format_duration(settings.snapshot_retention),
        },
        "levels": [{"interval": format_duration(interval)} for interval in settings.levels],
        "l0-retention": format_duration(settings.l0_retention),
        "retention": {"enabled": settings.retention_enabled},
        "shutdown-sync-timeout": format_duration(settings.shutdown_sync_timeout),
        "addr": settings.addr,
        "socket": _socket(settings.socket),
        "spool": {"path": str(settings.spool.path), "limit": settings.spool.limit},
        "max-open": settings.max_open,
        "identity": settings.identity,
        "dbs": [
            *({"path": str(database.path), **_database(database)} for database in settings.databases),
            *(_directory(directory) for directory in settings.directories),
        ],
    }
    return {key: value for key, value in shown.items() if value != ""}


def describe(settings: Settings) -> list[tuple[str, str]]:
    """:func:`effective` as rows of key and value: ``("dbs[0].replica.bucket", "backups")``."""
    return list(_rows("", effective(settings)))


def _socket(socket: Socket) -> dict[str, object]:
    if socket.path is None:
        return {"enabled": False}
    return {"enabled": True, "path": str(socket.path), "permissions": f"{socket.permissions:04o}"}


def _directory(directory: Directory) -> dict[str, object]:
    return {
        "dir": str(directory.directory),
        "pattern": directory.pattern,
        "recursive": directory.recursive,
        "watch": directory.watch,
        **_database(directory.template),
    }


def _database(database: Database) -> dict[str, object]:
    return {
        "monitor-interval": format_duration(database.monitor_interval),
        "checkpoint-interval": format_duration(database.checkpoint_interval),
        "busy-timeout": format_duration(database.busy_timeout),
        "min-checkpoint-page-count": database.min_checkpoint_page_count,
        "max-sync-wal-bytes": database.max_sync_wal_bytes,
        "wal-limit": database.wal_limit,
        "restore-if-db-not-exists": database.restore_if_db_not_exists,
        "replica": _replica(database.replica),
    }


def _replica(replica: Replica) -> dict[str, object]:
    server = replica.server
    tls: dict[str, object] = {"tls": server.tls is not None}
    if server.tls is not None and server.tls.root_cas:
        tls["root-cas"] = [str(path) for path in server.tls.root_cas]
    if server.tls is not None and server.tls.client_cert is not None:
        tls |= {"client-cert": str(server.tls.client_cert), "client-key": str(server.tls.client_key)}
    return {
        "type": "nats",
        "url": ",".join(server.urls),
        "bucket": replica.bucket,
        **({"path": replica.path} if replica.path else {}),
        **_credentials(server.credentials),
        **tls,
        "max-reconnects": server.max_reconnects,
        "reconnect-wait": format_duration(server.reconnect_wait),
        "timeout": format_duration(server.timeout),
        "inbox-prefix": server.inbox_prefix,
        "sync-interval": format_duration(replica.sync_interval),
    }


def _credentials(credentials: Credentials) -> dict[str, object]:
    nkey = credentials.nkey
    shown = {
        "username": credentials.username,
        "password": credentials.password and MASK,
        "token": credentials.token and MASK,
        "nkey": nkey if nkey is None or nkey.startswith("/") else MASK,
        "jwt": credentials.jwt and MASK,
        "seed": credentials.seed and MASK,
        "creds": credentials.creds and str(credentials.creds),
    }
    return {key: value for key, value in shown.items() if value is not None}


def _rows(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _rows(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _rows(f"{path}[{index}]", inner)
    else:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)
