"""Re-cutting changes where the cuts are, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from litefleet.nats.chunks import MOST, chunk_size, recut


async def collect(pieces: list[bytes], size: int) -> list[bytes]:
    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return [chunk async for chunk in recut(source(), size)]


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 60))
def test_chunks_are_full_but_for_the_last(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    chunks = asyncio.run(collect(pieces, size))
    assert b"".join(chunks) == data
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= size for chunk in chunks[-1:])


@given(st.binary(max_size=200), st.integers(1, 60))
def test_bytes_are_cut_like_pieces(data: bytes, size: int) -> None:
    async def whole() -> list[bytes]:
        return [chunk async for chunk in recut(data, size)]

    assert asyncio.run(whole()) == asyncio.run(collect([data], size))


@given(st.integers(1, 64 << 20))
def test_a_chunk_fits_any_server(max_payload: int) -> None:
    assert 1 <= chunk_size(max_payload) <= min(max_payload, MOST)
