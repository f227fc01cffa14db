"""What a server says before anybody logs in, and the certificate that it shows; no login is sent."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from litefleet.config.settings import TLS, Server
from litefleet.doctor.certificate import Certificate, parse_der

#: Seconds a server has to greet, before it is taken for one that waits for TLS.
GREETING_GRACE = 1.0
_MOST_BYTES = 1 << 16
_PORT = 4222


@dataclass(frozen=True, slots=True)
class Greeting:
    """``tls`` is the version that was agreed on, empty where the link stays as it is."""

    tls: str = ""
    certificate: Certificate | None = None


def greet(server: Server, url: str) -> Greeting:
    """Reach one server and, where the agent would do so, shake hands; blocks for ``server.timeout`` per step.

    Raises OSError (``ssl.SSLError`` is one), or ValueError if what answers there is no NATS server.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    with socket.create_connection((host, parts.port or _PORT), timeout=server.timeout) as link:
        info = _info(link, server.timeout)
        link.settimeout(server.timeout)
        waits_for_tls = info is None
        wanted = server.tls is not None and bool(info and info.get("tls_available"))
        if not (waits_for_tls or wanted or (info and info.get("tls_required"))):
            return Greeting()
        context = _context(server.tls)
        with context.wrap_socket(link, server_hostname=host, suppress_ragged_eofs=True) as secured:
            der = secured.getpeercert(binary_form=True)
            return Greeting(secured.version() or "TLS", parse_der(der) if der else None)


def _context(tls: TLS | None) -> ssl.SSLContext:
    """Takes any certificate: it is only looked at here. Whether it is trusted is seen when the agent's way is tried."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls is not None and tls.client_cert is not None:
        with contextlib.suppress(OSError):
            context.load_cert_chain(tls.client_cert, tls.client_key)
    return context


def _info(link: socket.socket, timeout: float) -> dict[str, Any] | None:
    """The server's first line; None if it waits for us to speak first."""
    link.settimeout(GREETING_GRACE)
    deadline = time.monotonic() + timeout
    line = b""
    try:
        while not line.endswith(b"\n") and len(line) < _MOST_BYTES and time.monotonic() < deadline:
            # No byte more than the line: what follows may be a handshake.
            byte = link.recv(1)
            if not byte:
                break
            line += byte
    except TimeoutError:
        if not line:
            return None
    word, _, rest = line.partition(b" ")
    try:
        info = json.loads(rest) if word.upper() == b"INFO" else None
    except (ValueError, RecursionError):
        info = None
    if isinstance(info, dict):
        return info
    raise ValueError("what answers there is not a NATS server")
