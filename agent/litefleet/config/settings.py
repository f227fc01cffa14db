"""The typed settings that every other part of the agent works with.

Times are seconds, sizes are bytes, paths are absolute. Defaults are those of the guide's table; where the guide is
silent, Litestream's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class TLS:
    """TLS is asked for: no server certificate from ``root_cas`` (or the system's CAs), no connection."""

    root_cas: tuple[Path, ...] = ()
    #: PEM files of the certificate we show to the server, and of its key; both or neither.
    client_cert: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """At most one form is set; secrets never show in ``repr``."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    #: An nkey seed (``SU…``), or the absolute path of a file that holds one.
    nkey: str | None = field(default=None, repr=False)
    creds: Path | None = None
    #: A user's JWT and the seed that belongs to it; both or neither.
    jwt: str | None = field(default=None, repr=False)
    seed: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Server:
    """Where NATS is and who we are there; databases with equal settings share one connection."""

    #: ``nats://host:port`` each, without user information.
    urls: tuple[str, ...]
    credentials: Credentials = Credentials()
    tls: TLS | None = None
    #: Attempts per server after a connection was lost; -1 is for ever.
    max_reconnects: int = 60
    reconnect_wait: float = 2.0
    #: For a connection, and for each request.
    timeout: float = 10.0
    inbox_prefix: str = "_INBOX"


@dataclass(frozen=True, slots=True)
class Replica:
    """Where the copies of one database go."""

    server: Server
    bucket: str
    #: Where in a bucket that several databases share: ``PATH/ltx/…``; without slashes at its ends, empty for the root.
    path: str = ""
    #: The least time between two uploads; 0 means: as soon as the previous one is acknowledged.
    sync_interval: float = 0.0

    @property
    def url(self) -> str:
        """The replica as a URL, for messages and for ``litefleet restore``; holds no secret."""
        return f"{','.join(self.server.urls)}/{self.bucket}" + (f"/{quote(self.path)}" if self.path else "")


@dataclass(frozen=True, slots=True)
class Database:
    """One database and its replica."""

    path: Path
    replica: Replica
    #: How often to look at the WAL where file notification is not available.
    monitor_interval: float = 1.0
    #: Checkpoint at least this often while there is something to checkpoint; 0 switches the trigger off.
    checkpoint_interval: float = 60.0
    #: Wait this long at most for a lock that the application holds.
    busy_timeout: float = 1.0
    #: WAL frames from which on a checkpoint is tried.
    min_checkpoint_page_count: int = 1000
    #: WAL bytes read for one level 0 file; the file ends at the first commit past it.
    max_sync_wal_bytes: int = 64 * 1024 * 1024
    restore_if_db_not_exists: bool = False
    #: WAL bytes from which on an alarm names who keeps the WAL from being reused; our own hold is let go then.
    wal_limit: int = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Directory:
    """Every database in a directory; ``template`` is what each of them gets, but for its place."""

    directory: Path
    #: A glob for file names, without slashes.
    pattern: str
    recursive: bool
    #: Whether databases that appear or disappear later are followed.
    watch: bool
    #: Its ``path`` is the directory; its replica's ``bucket`` and ``path`` may have ``{name}`` (the file's name without
    #: its ending) and ``{relative}`` (its path below the directory).
    template: Database


@dataclass(frozen=True, slots=True)
class Socket:
    """The control socket; without a path there is none."""

    path: Path | None = None
    permissions: int = 0o600


@dataclass(frozen=True, slots=True)
class Spool:
    """Where transactions wait while no server takes them; ``limit`` is in bytes, for all databases together."""

    path: Path = Path("/var/lib/litefleet/spool")
    limit: int = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Logging:
    """How the agent logs, always to standard error."""

    level: str = "info"
    #: ``text`` or ``json``.
    type: str = "text"


@dataclass(frozen=True, slots=True)
class Settings:
    """One configuration file."""

    databases: tuple[Database, ...]
    logging: Logging = Logging()
    #: Seconds between level 9 snapshots.
    snapshot_interval: float = 24 * 3600.0
    #: Seconds between the files of level 1, 2 and so on; each level joins files of the one below.
    levels: tuple[float, ...] = (30.0, 300.0, 3600.0)
    #: Seconds that level 0 files are kept once level 1 holds the same; 0 keeps them for the whole recovery window.
    l0_retention: float = 300.0
    #: The recovery window: any time so many seconds back can be restored, as exactly as the levels allow.
    snapshot_retention: float = 24 * 3600.0
    #: False: nothing is ever removed from the bucket.
    retention_enabled: bool = True
    #: Seconds that stopping may take to have the last transactions acknowledged.
    shutdown_sync_timeout: float = 30.0
    directories: tuple[Directory, ...] = ()
    #: ``HOST:PORT`` to serve Prometheus metrics on; empty for none.
    addr: str = ""
    socket: Socket = Socket()
    spool: Spool = Spool()
    #: Databases whose files are kept open; idle ones beyond it are let go, the longest idle first.
    max_open: int = 500
    #: This host's name in the leases of its buckets; empty for the system's host name.
    identity: str = ""
