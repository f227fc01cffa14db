"""Re-cutting bytes into chunks."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

#: Room for headers and the rest of a message within the server's ``max_payload``.
RESERVE = 4 * 1024
MOST = 1024 * 1024 - RESERVE


def chunk_size(max_payload: int) -> int:
    """The chunk size for a server: as large as it takes, a megabyte at most."""
    return max(1, min(max_payload - RESERVE, MOST)) if max_payload > 2 * RESERVE else max(1, max_payload // 2)


async def recut(data: AsyncIterable[bytes] | bytes, size: int) -> AsyncIterator[bytes]:
    """The same bytes in pieces of ``size``; the last may be shorter, none is empty."""
    parts: list[bytes | memoryview] = []
    held = 0
    async for piece in _pieces(data):
        view = memoryview(piece)
        while held + len(view) >= size:
            parts.append(view[: size - held])
            view = view[size - held :]
            yield b"".join(parts)
            parts, held = [], 0
        if view:
            parts.append(view)
            held += len(view)
    if held:
        yield b"".join(parts)


async def _pieces(data: AsyncIterable[bytes] | bytes) -> AsyncIterator[bytes]:
    if isinstance(data, bytes | bytearray | memoryview):
        yield bytes(data)
        return
    async for piece in data:
        yield piece
