"""A TCP proxy that makes a network worse: slow, far away, cut or hanging."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

#: What the kernel may hold for the proxy, so that its pace is felt on both sides.
KERNEL_BUFFER = 64 * 1024
PIECE = 16 * 1024


class Proxy:
    """Forwards connections to ``target_port`` of 127.0.0.1; make it with ``tcp_proxy``."""

    def __init__(self, target_port: int, rate: float | None, latency: float) -> None:
        #: Bytes a second in each direction of each connection; None is unlimited.
        self.rate = rate
        #: Seconds, one way.
        self.latency = latency
        self.port = 0
        #: Connections that clients have made, those included that were dropped at once.
        self.connections = 0
        #: Bytes that went from clients to the server.
        self.upstream = 0
        #: Bytes that clients have given to the proxy, whether they went further or not.
        self.taken = 0
        self._took = asyncio.Event()
        #: Set while nothing is let through.
        self.hung = asyncio.Event()
        self._target_port = target_port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._accepting = True
        self._hang_after: int | None = None
        self._cut_after: int | None = None
        self._mute_after = b""
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.handlers: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Drop all connections, as a router that restarts; new ones are let through."""
        self._speaking.set()
        for writer in self._writers:
            writer.transport.abort()

    def cut_after(self, count: int) -> None:
        """``cut`` once that many more bytes went through, in either direction."""
        self._cut_after = count

    def mute_after(self, words: bytes) -> None:
        """Once a client has sent these, let nothing more of what the server says through, until ``cut``."""
        self._mute_after = words

    def refuse(self) -> None:
        """Drop all connections, and new ones too, until ``accept``."""
        self._accepting = False
        self.cut()

    def accept(self) -> None:
        self._accepting = True

    def hang(self) -> None:
        """Let connections stand, and nothing through."""
        self._flowing.clear()
        self.hung.set()

    def hang_after(self, count: int) -> None:
        """``hang`` once that many more bytes went through, in either direction."""
        self._hang_after = count

    async def wait_taken(self, count: int) -> None:
        """Until clients have given the proxy that many bytes in all."""
        while self.taken < count:
            self._took.clear()
            await self._took.wait()

    async def wait_connections(self, count: int) -> None:
        """Until clients have made that many connections in all."""
        while self.connections < count:
            self._took.clear()
            await self._took.wait()

    def resume(self) -> None:
        self.hung.clear()
        self._flowing.set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.handlers.add(task)
        self.connections += 1
        self._took.set()
        task.add_done_callback(self.handlers.discard)
        if not self._accepting:
            writer.transport.abort()
            return
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._target_port))
        except OSError:
            sock.close()
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_connection(sock=sock, limit=KERNEL_BUFFER)
        both = {writer, up_writer}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forward(reader, up_writer, upstream=True))
                tasks.create_task(self._forward(up_reader, writer, upstream=False))
        finally:
            self._writers -= both
            for one in both:
                one.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upstream: bool) -> None:
        loop = asyncio.get_running_loop()
        # What is under way: as much as fits into the latency, and a little.
        held = 8 if self.rate is None else max(2, int(self.rate * self.latency / PIECE) + 1)
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(held if not self.latency or self.rate else 4096)

        async def send() -> None:
            free_at = 0.0
            while True:
                due, piece = await way.get()
                if self.rate is not None:
                    free_at = max(free_at, loop.time()) + len(piece) / self.rate
                    due = max(due, free_at)
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                await self._flowing.wait()
                if not piece:
                    writer.close()
                    await writer.wait_closed()
                    return
                if upstream:
                    self.upstream += len(piece)
                    if self._mute_after and self._mute_after in piece:
                        self._mute_after = b""
                        self._speaking.clear()
                else:
                    await self._speaking.wait()
                self._count(len(piece))
                writer.write(piece)
                await writer.drain()

        async def receive() -> None:
            piece = b"?"
            while piece:
                try:
                    piece = await reader.read(PIECE)
                except OSError:
                    piece = b""  # a cut is an end too
                if upstream:
                    self.taken += len(piece)
                    self._took.set()
                await way.put((loop.time() + self.latency, piece))

        async with asyncio.TaskGroup() as tasks:
            receiver = tasks.create_task(receive())
            with suppress(OSError):
                await send()
            receiver.cancel()
            writer.transport.abort()

    def _count(self, count: int) -> None:
        if self._hang_after is not None:
            self._hang_after -= count
            if self._hang_after <= 0:
                self._hang_after = None
                self.hang()
        if self._cut_after is not None:
            self._cut_after -= count
            if self._cut_after <= 0:
                self._cut_after = None
                self.cut()


@asynccontextmanager
async def tcp_proxy(target_port: int, *, rate: float | None = None, latency: float = 0.0) -> AsyncIterator[Proxy]:
    """A proxy that listens inside the block."""
    proxy = Proxy(target_port, rate, latency)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
    listener.bind(("127.0.0.1", 0))
    proxy.port = int(listener.getsockname()[1])
    server = await asyncio.start_server(proxy.handle, sock=listener, limit=KERNEL_BUFFER)
    try:
        yield proxy
    finally:
        server.close()
        proxy.resume()
        proxy.refuse()
        await server.wait_closed()
        if proxy.handlers:
            _, stuck = await asyncio.wait(set(proxy.handlers), timeout=10)
            assert not stuck, "a connection through the proxy does not end"
