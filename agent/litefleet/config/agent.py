"""The agent itself: what it serves, what it keeps on disk and open, and its name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from litefleet.config.document import Entry, Section
from litefleet.config.keys import SOCKET, SPOOL, part
from litefleet.config.settings import Settings, Socket, Spool

#: Where the control socket is if nothing says otherwise.
DEFAULT_SOCKET = Path("/run/litefleet/litefleet.sock")

_DEFAULTS = Settings(databases=())
_LEAST_SPOOL = 64 * 1024
_ADDRESS = re.compile(r"(?P<host>[^:\[\]]*|\[(?P<six>[^\[\]]*)\]):(?P<port>[0-9]{1,5})")
_HOST = re.compile(r"[A-Za-z0-9_.-]*")
_PERMISSIONS = re.compile(r"0?o?([0-7]{3})")


class Agent(TypedDict):
    """Fields of Settings."""

    addr: str
    socket: Socket
    spool: Spool
    max_open: int
    identity: str


def read_agent(top: Section) -> Agent:
    """`addr`, `socket`, `spool`, `max-open` and `identity` of the top level."""
    count, identity = top.get("max-open"), top.get("identity")
    wanted = count.integer(minimum=1) if count else None
    return Agent(
        addr=_addr(top.get("addr")),
        socket=_socket(top, top.context.process),
        spool=_spool(top, top.context.process),
        max_open=_DEFAULTS.max_open if wanted is None else wanted,
        identity=(identity and identity.text()) or _DEFAULTS.identity,
    )


def _addr(entry: Entry | None) -> str:
    text = entry.text() if entry else None
    if entry is None or text is None:
        return _DEFAULTS.addr
    match = _ADDRESS.fullmatch(text)
    if match is None:
        entry.problem("is not HOST:PORT; write for example `127.0.0.1:9090`, or `:9090` for every address of this host")
    elif not 0 < int(match["port"]) < 65536:
        entry.problem("has a port that is not a number from 1 to 65535")
    elif match["six"] is not None and not _is_ipv6(match["six"]):
        entry.problem("has no IPv6 address in `[` `]`; write for example `[::1]:9090`")
    elif match["six"] is None and not _HOST.fullmatch(match["host"]):
        entry.problem("has a character in its host name that no name has")
    return text


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _socket(top: Section, process: Mapping[str, str]) -> Socket:
    section = part(top, "socket", SOCKET)
    runtime = process.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    default = Path(runtime) / DEFAULT_SOCKET.name if runtime else None
    if section is None:
        return Socket(default)
    enabled, path, permissions = (section.get(key) for key in ("enabled", "path", "permissions"))
    wanted = enabled.boolean() if enabled else None
    named = path.file() if path else None
    mode = _permissions(permissions) if permissions else Socket().permissions
    if wanted is False:
        if path:
            path.problem("is given, but `enabled` is false; remove one of them")
        return Socket(None, mode)
    return Socket(named or default or (DEFAULT_SOCKET if wanted else None), mode)


def _permissions(entry: Entry) -> int:
    """An octal mode in which nobody but the owner, and at most the group, may use the socket."""
    text = entry.text()
    default = Socket().permissions
    match = _PERMISSIONS.fullmatch(text) if text is not None else None
    if match is None:
        if text is not None:
            entry.problem("is not an octal mode; write for example `0600`, or `0660` for the group too")
        return default
    mode = int(match[1], 8)
    if mode & 0o600 != 0o600 or mode & ~0o660:
        entry.problem(
            "must be `0600`, or `0660` to let the group in: who may use the socket can stop a database's replication"
        )
        return default
    return mode


def _spool(top: Section, process: Mapping[str, str]) -> Spool:
    state = process.get("STATE_DIRECTORY", "").partition(":")[0]
    default = Spool(Path(state) / "spool") if state else _DEFAULTS.spool
    section = part(top, "spool", SPOOL)
    if section is None:
        return default
    path, limit = section.get("path"), section.get("limit")
    named = path.file() if path else None
    size = limit.size(minimum=_LEAST_SPOOL) if limit else None
    return Spool(named or default.path, default.limit if size is None else size)
