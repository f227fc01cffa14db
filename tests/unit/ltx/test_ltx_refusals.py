"""What is not a valid LTX file is refused by name and with the reason, by writer and by reader."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from litefleet.errors import LTXError
from litefleet.ltx import Decoder, Header, Merge
from tests.unit.ltx.samples import (
    LAYOUT,
    LOCK_PAGE,
    Pages,
    decoded,
    encoded,
    frame,
    handmade,
    leb128,
    old_frame,
    page_of,
    small,
)

PAGE = page_of(512, 2)
INCREMENT = Header(page_size=512, commit=9, min_txid=4, max_txid=5, timestamp=0)
FULL = Header(page_size=512, commit=3, min_txid=1, max_txid=5, timestamp=0)

WRONG_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"flags": 0x1}, "flags"),
    ({"flags": 0x3}, "flags"),
    ({"flags": 0x80000002}, "flags"),
    ({"page_size": 0}, "page size of 0"),
    ({"page_size": 1}, "page size of 1"),
    ({"page_size": 256}, "page size of 256"),
    ({"page_size": 4095}, "page size of 4095"),
    ({"page_size": 131072}, "page size of 131072"),
    ({"min_txid": 0}, "TXID range"),
    ({"min_txid": 0, "max_txid": 0}, "TXID range"),
    ({"min_txid": 6, "max_txid": 5}, "TXID range"),
    ({"wal_offset": -1}, "negative WAL"),
    ({"wal_offset": 32, "wal_size": -1}, "negative WAL"),
    ({"wal_size": 1}, "no offset"),
    ({"wal_salt1": 1}, "no offset"),
    ({"wal_salt2": 1}, "no offset"),
    ({"pre_apply_checksum": 1 << 63}, "pre-apply"),
    ({"flags": 0}, "pre-apply"),
    ({"flags": 0, "pre_apply_checksum": 5}, "pre-apply"),
    ({"flags": 0, "min_txid": 1, "pre_apply_checksum": 1 << 63}, "pre-apply"),
]


def packed_anyway(header: Header) -> bytes:
    """The header's bytes without its own checks."""
    return LAYOUT.pack(
        b"LTX1", header.flags, header.page_size, header.commit, header.min_txid, header.max_txid, header.timestamp,
        header.pre_apply_checksum, header.wal_offset, header.wal_size, header.wal_salt1, header.wal_salt2,
        header.node_id, bytes(20),
    )  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), WRONG_FIELDS)
def test_an_impossible_header_is_neither_written_nor_read(fields: dict[str, Any], reason: str) -> None:
    header = replace(INCREMENT, **fields)
    with pytest.raises(LTXError, match=reason):
        header.pack()
    with pytest.raises(LTXError, match=reason):
        encoded(header, [])
    with pytest.raises(LTXError, match=rf"bad\.ltx: .*{reason}"):
        decoded([handmade(packed_anyway(header), [])], "bad.ltx")


def test_a_file_with_another_magic_is_no_ltx_file() -> None:
    with pytest.raises(LTXError, match="not an LTX file"):
        decoded([b"SQLite format 3\0" * 20])


def test_a_header_cut_short_is_refused() -> None:
    with pytest.raises(LTXError, match="99 bytes"):
        Header.unpack(INCREMENT.pack()[:99])


def test_a_checksummed_file_of_another_writer_is_read() -> None:
    header = replace(INCREMENT, flags=0, pre_apply_checksum=1 << 63 | 5)
    assert decoded([handmade(packed_anyway(header), [frame(4, PAGE)])]) == (header, [(4, PAGE)])


@pytest.mark.parametrize(
    ("header", "pages", "reason"),
    [
        (INCREMENT, [(2, PAGE), (1, PAGE)], "page 1 follows page 2"),
        (INCREMENT, [(2, PAGE), (2, PAGE)], "page 2 follows page 2"),
        (INCREMENT, [(0, PAGE)], "page 0"),
        (INCREMENT, [(10, PAGE)], "beyond the database's 9 pages"),
        (INCREMENT, [(2, PAGE[:-1])], "511 bytes"),
        (INCREMENT, [(2, PAGE * 2)], "1024 bytes"),
        (replace(INCREMENT, commit=1 << 31), [(LOCK_PAGE[512], PAGE)], "lock page"),
        (FULL, [(1, PAGE), (3, PAGE)], "2 is missing"),
        (FULL, [(2, PAGE), (3, PAGE)], "1 is missing"),
        (FULL, [(1, PAGE), (2, PAGE)], "ends at 2 of 3"),
        (FULL, [], "ends at 0 of 3"),
    ],
)
def test_the_encoder_refuses_pages_that_readers_refuse(header: Header, pages: Pages, reason: str) -> None:
    with pytest.raises(LTXError, match=reason):
        encoded(header, pages)


HUGE = (b"\0\0\0\2\0\1\xff\xff\xff\xff", b"", PAGE)
SHORT = frame(2, PAGE[:-1])
LONG = frame(2, PAGE + b"!")
GARBAGE = (frame(2, PAGE)[0][:6] + b"\0\0\0\4", b"\xff\xff\xff\xff", PAGE)
NOTHING = (frame(2, PAGE)[0][:6] + b"\0\0\0\0", b"", PAGE)


@pytest.mark.parametrize(
    ("header", "frames", "reason"),
    [
        (INCREMENT, [frame(2, PAGE), frame(1, PAGE)], "page 1 after page 2"),
        (INCREMENT, [frame(2, PAGE), frame(2, PAGE)], "page 2 after page 2"),
        (INCREMENT, [frame(0, PAGE)], "page 0 after"),
        (INCREMENT, [frame(10, PAGE)], "page 10"),
        (replace(INCREMENT, commit=1 << 31), [frame(LOCK_PAGE[512], PAGE)], "out of place"),
        (INCREMENT, [frame(2, PAGE, flags=2)], "flags 0x2"),
        (INCREMENT, [frame(2, PAGE, flags=0x8001)], "flags 0x8001"),
        (INCREMENT, [SHORT], "511 bytes"),
        (INCREMENT, [LONG], "does not decompress"),
        (INCREMENT, [GARBAGE], "does not decompress"),
        (INCREMENT, [NOTHING], "page 2"),
        (INCREMENT, [HUGE], "4294967295 bytes"),
        (INCREMENT, [old_frame(2, PAGE[:-1])], "511 bytes"),
        (INCREMENT, [old_frame(2, PAGE * 2)], "longer than 512 bytes"),
        (INCREMENT, [(b"\0\0\0\2\0\0", b"no lz4 frame at all", PAGE)], "older encoding"),
        (FULL, [frame(1, PAGE), frame(3, PAGE)], "2 of 3 pages"),
        (FULL, [frame(1, PAGE), frame(2, PAGE)], "2 of 3 pages"),
        (FULL, [], "0 of 3 pages"),
    ],
)
def test_the_decoder_refuses_wrong_pages_under_a_right_checksum(
    header: Header, frames: list[tuple[bytes, bytes, bytes]], reason: str
) -> None:
    with pytest.raises(LTXError, match=rf"^bad\.ltx: .*{reason}.*restore an earlier point"):
        decoded([handmade(header.pack(), frames)], "bad.ltx")


@pytest.mark.parametrize(
    "index",
    [
        b"\0",
        leb128(2) + leb128(100) + leb128(11) + b"\0",
        leb128(3) + leb128(100) + leb128(10 + len(frame(2, PAGE)[1])) + b"\0",
        leb128(2) + leb128(101) + leb128(10 + len(frame(2, PAGE)[1])) + b"\0",
    ],
)
def test_an_index_that_does_not_lead_to_the_pages_is_refused(index: bytes) -> None:
    with pytest.raises(LTXError, match="index"):
        decoded([handmade(INCREMENT.pack(), [frame(2, PAGE)], index=index)])


@pytest.mark.parametrize("extra", [b"\0", b"x" * 16, bytes(100)])
@pytest.mark.parametrize("apart", [True, False])
def test_nothing_may_follow_the_trailer(extra: bytes, apart: bool) -> None:
    content = encoded(*small())
    with pytest.raises(LTXError, match="index and trailer"):
        decoded([content, extra] if apart else [content + extra])


def test_a_full_file_may_lack_the_lock_page_only() -> None:
    size = 65536
    header = Header(page_size=size, commit=LOCK_PAGE[size], min_txid=1, max_txid=1, timestamp=0)
    with pytest.raises(LTXError, match=f"ends at {LOCK_PAGE[size] - 2} of {LOCK_PAGE[size]}"):
        encoded(header, ((number, bytes(size)) for number in range(1, LOCK_PAGE[size] - 1)))


class TestOlderEncoding:
    """Pages as LZ4 frames of their own, which Litestream's reader takes too."""

    @pytest.mark.parametrize("step", [1, 7, 100, 1 << 20])
    @pytest.mark.parametrize("block_linked", [True, False])
    def test_pages_of_both_encodings_come_out_however_the_file_is_cut(self, step: int, block_linked: bool) -> None:
        pages = [(1, page_of(512, 3)), (2, page_of(512, 4)), (3, page_of(512, 5))]
        frames = [old_frame(*pages[0], block_linked=block_linked), frame(*pages[1]), old_frame(*pages[2])]
        content = handmade(FULL.pack(), frames)
        blocks = [content[at : at + step] for at in range(0, len(content), step)]
        assert decoded(blocks) == (FULL, pages)

    def test_a_page_that_never_ends_is_refused_before_it_fills_the_memory(self) -> None:
        endless = lz4_frame_without_end()
        with pytest.raises(LTXError, match="does not end"):
            decoded([FULL.pack(), b"\0\0\0\1\0\0" + endless[:3000], endless[3000:]])

    @pytest.mark.parametrize("step", [1000, 1 << 20])
    def test_a_small_frame_of_very_much_is_refused_before_it_fills_the_memory(self, step: int) -> None:
        content = FULL.pack() + b"\0\0\0\1\0\0" + old_frame(1, bytes(200 << 20))[1]
        assert len(content) < 1 << 20
        with peak_below(4 << 20), pytest.raises(LTXError, match="longer than 512 bytes"):
            decoded(content[at : at + step] for at in range(0, len(content), step))

    def test_many_small_pages_in_one_block_are_all_read(self) -> None:
        pages = [(number, bytes(512)) for number in range(1, 2001)]
        header = replace(FULL, commit=2000)
        content = handmade(header.pack(), [old_frame(*page) for page in pages])
        decoder = Decoder("test.ltx")
        assert decoder.feed(content) == pages
        assert decoder.close() == header


def test_a_file_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    decoder = Decoder("test.ltx")
    block = bytes(1 << 20)
    with peak_below(4 << 20), pytest.raises(LTXError, match="index and trailer"):
        decoder.feed(INCREMENT.pack() + block)
    decoder = Decoder("test.ltx")
    decoder.feed(INCREMENT.pack() + bytes(6))
    with peak_below(4 << 20), pytest.raises(LTXError, match="index and trailer"):
        list(map(decoder.feed, [block] * 100))


def test_a_block_of_very_many_empty_pages_is_never_in_memory_as_a_whole() -> None:
    header = Header(page_size=65536, commit=3000, min_txid=4, max_txid=5, timestamp=0)
    block = encoded(header, ((number, bytes(65536)) for number in range(1, 3001)))
    assert len(block) < 1 << 20
    decoder = Decoder("test.ltx")
    with peak_below(16 << 20):
        assert sum(len(page) for _, page in decoder.stream(block)) == 3000 << 16
    assert decoder.close() == header
    with Path(os.devnull).open("r+b") as spool, peak_below(16 << 20):
        Merge(spool).add("test.ltx", block, last=True)


@contextmanager
def peak_below(limit: int) -> Iterator[None]:
    """Fails when the block makes the process hold more than ``limit`` bytes beyond what it holds."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def lz4_frame_without_end() -> bytes:
    """The start of an LZ4 frame whose first block is a long one, and no page before it is there as a whole."""
    noise = page_of(65536, 0)
    half = b"".join(noise[at : at + 16] + bytes(16) for at in range(0, len(noise), 32))
    return old_frame(1, half)[1][:9000]
