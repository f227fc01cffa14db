"""The TCP link below nats-py, and the few places where nats-py itself is bent.

Everything that depends on how nats-py works inside is in this file:

- no byte of CONNECT, hence no credential, leaves on an unencrypted link when TLS was asked for;
- servers that shake hands before they greet (``handshake_first``), or that leave TLS to the client, are recognised;
- the first connection makes one attempt at one server, so that its failure can be reported at once;
- what is closed in the middle of an attempt to reconnect makes no further one;
- each outage has as many attempts as it should, and each attempt reads TLS and nkey files again;
- a link that is given up is cut, not flushed: its peer may never read again;
- the end of a TLS link is not announced as a warning by asyncio;
- a late answer to a ping that nobody waits for any more does not end the reader;
- what nats-py logs by itself becomes a line of our own log, without a traceback.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import socket
import ssl
import struct
import termios
from collections.abc import Callable
from typing import Any
from urllib.parse import ParseResult

from nats.aio.client import Client, Srv
from nats.aio.transport import Transport

#: Bytes the kernel may hold unsent: enough to keep it busy, little enough for pings to get through in time.
UNSENT_LOW_WATER = 256 * 1024
READ_SIZE = 256 * 1024
#: Seconds a server that was reached has to greet before it is tried with TLS from the first byte.
GREETING_GRACE = 1.0
CLOSE_GRACE = 2.0


def _forward(record: logging.LogRecord) -> bool:
    """A filter that lets nothing pass, and says it in our own log instead."""
    error = record.exc_info[1] if record.exc_info else None
    log.warning("nats-py: %s%s", record.getMessage(), "" if error is None else f": {error!r}")
    return False


log = logging.getLogger("litefleet.nats")
logging.getLogger("nats.aio.client").addFilter(_forward)


class PlaintextRefused(ConnectionError):
    """TLS was asked for and the server wants to go on without."""


class LinkClosed(ConnectionError):
    """The server closed the link while it was being set up; ``wants_certificate`` says it asks clients for one."""

    def __init__(self, *, greeted: bool, wants_certificate: bool) -> None:
        super().__init__(
            "the server closed the connection" + (" during the login" if greeted else " without a greeting")
        )
        self.wants_certificate = wants_certificate


class Wire(Transport):
    """A TCP link that can become a TLS link, for ``nats.aio.client.Client``."""

    # ruff: noqa: ARG002 -- the signatures are nats-py's

    def __init__(self, tls: ssl.SSLContext | None, hostname: str, moved: Callable[[], None]) -> None:
        self._tls = tls
        self._hostname = hostname
        self._moved = moved
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        # The writer below TLS: it closes the socket when nobody refers to it any more.
        self._plain: asyncio.StreamWriter | None = None
        self._timeout = 0
        self._given_up = False
        self._greeting = b""
        self.secure = False
        #: Bytes that came in, and bytes that were given to be sent.
        self.received = 0
        self.written = 0

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Open the TCP link."""
        self._timeout = connect_timeout
        async with asyncio.timeout(connect_timeout):
            self._reader, self._writer = await asyncio.open_connection(uri.hostname, uri.port, limit=READ_SIZE)
        sock: socket.socket | None = self._writer.get_extra_info("socket")
        if sock is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LOW_WATER)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """Go on with TLS, if that has not happened yet."""
        if self.secure:
            return
        assert self._writer is not None
        loop = asyncio.get_running_loop()
        # A new reader: what arrived before the handshake must not count as protected.
        reader = asyncio.StreamReader(limit=READ_SIZE, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        self._plain, self._writer = self._writer, None
        try:
            async with asyncio.timeout(connect_timeout):
                transport = await loop.start_tls(
                    self._plain.transport,
                    protocol,
                    ssl_context,
                    server_hostname=uri if isinstance(uri, str) else uri.hostname,
                    ssl_shutdown_timeout=CLOSE_GRACE,
                )
        except BaseException:
            self._plain.transport.abort()
            raise
        if transport is None:
            raise ConnectionResetError("the connection was lost during the TLS handshake")
        # Tells the protocol that it runs over TLS, which is what keeps it quiet at the end.
        protocol.connection_made(transport)
        self._reader = reader
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self.secure = True

    async def readline(self) -> bytes:
        """One line; only used while the link is being set up."""
        assert self._reader is not None
        if self._tls is not None and not self.secure and not self._greeting:
            line = await self._greeting_or_handshake(self._tls)
        else:
            line = await self._rest_of_setup(self._reader)
        if not line:
            wants = b'"tls_verify":true' in self._greeting.replace(b" ", b"")
            raise LinkClosed(greeted=bool(self._greeting), wants_certificate=wants)
        self._greeting = self._greeting or line
        return line

    async def _rest_of_setup(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readline()
        except ConnectionError:
            return b""  # with TLS 1.3 a server drops clients without a certificate only after the handshake

    async def _greeting_or_handshake(self, tls: ssl.SSLContext) -> bytes:
        assert self._reader is not None
        try:
            async with asyncio.timeout(GREETING_GRACE):
                return await self._reader.readline()
        except TimeoutError:
            await self.connect_tls(self._hostname, tls, 0, self._timeout)
            return await self._reader.readline()

    async def read(self, buffer_size: int) -> bytes:
        """What has arrived, at least a byte; empty at the end."""
        assert self._reader is not None
        data = await self._reader.read(READ_SIZE)
        self.received += len(data)
        return data

    def write(self, payload: bytes) -> None:
        """Hand bytes over; ``PlaintextRefused`` when they must not leave as they are."""
        assert self._writer is not None
        if self._tls is not None and not self.secure:
            raise PlaintextRefused("the server does not encrypt")
        self.written += len(payload)
        self._writer.write(payload)

    def writelines(self, payload: list[bytes]) -> None:
        """Hand several over."""
        if self._writer is None:
            return
        for piece in payload:
            self.write(piece)

    async def drain(self) -> None:
        """Until most of what was handed over has left."""
        if self._writer is None or self._given_up:
            return
        await self._writer.drain()
        self._moved()

    @property
    def backlog(self) -> int:
        """Bytes written but not yet taken by the kernel."""
        return 0 if self._writer is None else self._writer.transport.get_write_buffer_size()

    @property
    def sent(self) -> int:
        """Bytes that the peer's host has acknowledged."""
        if self._writer is None:
            return 0
        sock = self._writer.get_extra_info("socket")
        waiting = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0] if self._alive else 0
        return self.written - self.backlog - int(waiting)

    @property
    def _alive(self) -> bool:
        return self._writer is not None and not self._writer.transport.is_closing()

    def give_up(self) -> None:
        """Nothing that is still unsent matters; ``drain`` and ``close`` do not wait for it."""
        self._given_up = True

    def close(self) -> None:
        """Begin to close; does not wait for a peer that does not read."""
        if self._writer is None:
            return
        if self._given_up or self.backlog:
            self._writer.transport.abort()
        else:
            self._writer.close()

    async def wait_closed(self) -> None:
        """Until it is closed, within bounds."""
        if self._writer is None:
            return
        try:
            async with asyncio.timeout(CLOSE_GRACE):
                await self._writer.wait_closed()
        except OSError:  # a TimeoutError, or the error that had ended the link
            self._writer.transport.abort()

    def at_eof(self) -> bool:
        """Whether the peer has ended the link."""
        return self._reader is None or self._reader.at_eof()

    def __bool__(self) -> bool:
        return True  # else nats-py puts its own transport in place of one that is not connected yet


class WireClient(Client):
    """nats-py's client on a ``Wire``."""

    def __init__(self, tls: ssl.SSLContext | None, moved: Callable[[], None]) -> None:
        super().__init__()
        self._tls_wanted = tls
        self._moved = moved
        self._first = True
        self._renew_tls: Callable[[], ssl.SSLContext] | None = None
        self._renew_nkey: Callable[[], str] | None = None
        self._over = False
        #: What ended the last link, or the last attempt at one.
        self.cause: BaseException | None = None

    @property
    def wire(self) -> Wire | None:
        """The link in use."""
        return self._transport if isinstance(self._transport, Wire) else None

    @property
    def backlog(self) -> int:
        """Bytes of requests that have not reached the kernel."""
        wire = self.wire
        return self.pending_data_size + (wire.backlog if wire is not None else 0)

    @property
    def server_version(self) -> str:
        """Of the server in use, or used last."""
        current = self._current_server
        return (current.server_version if current is not None else None) or "0.0.0"

    @property
    def server_info(self) -> dict[str, Any]:
        """What the server in use says about itself."""
        return dict(self._server_info)

    async def abandon(self) -> None:
        """The link is dead, though nobody has said so: cut it and reconnect."""
        self.cause = TimeoutError()
        if (wire := self.wire) is not None:
            wire.give_up()
        await self.force_reconnect()

    def settle(
        self,
        *,
        max_reconnects: int,
        reconnect_wait: float,
        renew_tls: Callable[[], ssl.SSLContext] | None = None,
        renew_nkey: Callable[[], str] | None = None,
    ) -> None:
        """After the first success: from now on reconnect, to any server of the cluster.

        ``renew_tls`` and ``renew_nkey``, which gives a seed, read files and are called in a thread before each attempt:
        they may have been replaced.
        """
        self._renew_tls, self._renew_nkey = renew_tls, renew_nkey
        self._first = False
        self.options["allow_reconnect"] = max_reconnects != 0
        self.options["max_reconnect_attempts"] = max_reconnects
        self.options["reconnect_time_wait"] = reconnect_wait
        self.options["dont_randomize"] = False

    async def _select_next_server(self) -> None:
        if not self._first:
            await super()._select_next_server()
            return
        self._current_server = self._server_pool[0]
        await self._connect_to_server(self._current_server)

    async def _attempt_reconnect(self) -> None:
        # nats-py gives a server up after one attempt more than asked for, and counts those of earlier outages too.
        for known in self._server_pool:
            known.reconnects = 1
        await super()._attempt_reconnect()

    async def _connect_to_server(self, s: Srv) -> None:
        if (old := self.wire) is not None:
            old.give_up()
            old.close()
        if self._renew_tls is not None:
            self._tls_wanted = self.options["tls"] = await asyncio.to_thread(self._renew_tls)
        if self._renew_nkey is not None:
            self._nkeys_seed_str = await asyncio.to_thread(self._renew_nkey)
            self._setup_nkeys_seed_connect()
        # Closing cancels this task, but an attempt that fails at that moment takes the cancellation with it.
        if self._over:
            raise asyncio.CancelledError
        self._transport = Wire(self._tls_wanted, s.tls_name or s.uri.hostname or "", self._moved)
        await super()._connect_to_server(s)

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002
        self._over = True
        await super()._close(status, do_cbs)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002
        if initial_connection and self._tls_wanted is not None and info.get("tls_available"):
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)

    async def _process_op_err(self, e: Exception) -> None:
        if not isinstance(self.cause, ServerSays):
            self.cause = e
        if (wire := self.wire) is not None:
            wire.give_up()
        await super()._process_op_err(e)

    async def _process_err(self, err_msg: str) -> None:
        if "permissions violation" not in err_msg:
            self.cause = ServerSays(err_msg.strip("'"))
        await super()._process_err(err_msg)

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs.pop(0)
            self._pings_outstanding = 0
            return
        await super()._process_pong()


class ServerSays(Exception):
    """An ``-ERR`` that ends the connection, in the server's (lower-cased) words."""
