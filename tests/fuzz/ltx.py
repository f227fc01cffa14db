"""LTX files: headers, page frames, whole files and their merge."""

from __future__ import annotations

import os
from collections.abc import Iterator

from fastcrc import crc64

from litefleet.errors import LTXError
from litefleet.ltx import HEADER_SIZE, Decoder, Header, Merge, encode
from litefleet.ltx.wire import CHECKSUM_FLAG, END_OF_PAGES, U64, index_bytes
from tests.fuzz.target import Cut

Pages = list[tuple[int, bytes]]
PAGE_SIZES = (512, 512, 512, 1024, 4096, 65536)
#: Blocks that a file is cut into at most, to bound the time of one input.
MOST_BLOCKS = 64


def blocks(content: bytes, step: int) -> Iterator[bytes]:
    """``content`` in pieces of ``step`` bytes."""
    step = max(step, len(content) // MOST_BLOCKS, 1)
    return (content[at : at + step] for at in range(0, len(content), step))


def decode(content: bytes, step: int) -> tuple[Header, Pages] | None:
    """Everything in a file; None if it was refused by name."""
    decoder = Decoder("fuzz.ltx")
    pages: Pages = []
    try:
        for block in blocks(content, step):
            pages += decoder.feed(block)
        return decoder.close(), pages
    except LTXError as error:
        assert error.message.startswith("fuzz.ltx: "), error
        return None


def header(data: bytes) -> None:
    """A header that is read is written with the same bytes."""
    try:
        found = Header.unpack(data)
    except LTXError:
        return
    assert found.pack()[:-20] == data[: HEADER_SIZE - 20]


def file(data: bytes) -> None:
    """A file says the same however it is cut, and what is accepted can be written and read again."""
    cut = Cut(data)
    step = cut.number(2)
    found = decode(cut.rest, len(cut.rest))
    if step < len(cut.rest):
        assert decode(cut.rest, step) == found
    if found is not None:
        assert list(Decoder("fuzz.ltx").stream(cut.rest)) == found[1]
    if found is not None:
        again(*found)


def again(head: Header, pages: Pages) -> None:
    """Writing and reading leads back."""
    assert all(1 <= number <= head.commit and len(page) == head.page_size for number, page in pages)
    assert decode(b"".join(encode(head, pages)), 1 << 16) == (head, pages)


def pages(data: bytes) -> None:
    """Page frames behind a right header and before a right end: nothing but themselves can be wrong."""
    cut = Cut(data)
    step = cut.number(2)
    content = whole(_header(cut, first=cut.byte() % 3 + 1), cut.rest)
    if content is None:
        return
    found = decode(content, len(content))
    if step < len(content):
        assert decode(content, step) == found
    if found is not None:
        again(*found)


def merge(data: bytes) -> None:
    """Files that mostly follow each other become one that holds the newest version of each page."""
    cut = Cut(data)
    step, count = cut.number(2), cut.byte() % 4 + 1
    newest: dict[int, bytes] = {}
    txid = 1 + cut.byte() % 2
    descriptor = os.memfd_create("spool")
    with os.fdopen(descriptor, "w+b") as spool:
        joined = Merge(spool)
        try:
            for _ in range(count):
                head = _header(cut, first=txid)
                txid = head.max_txid + 1
                piece = cut.piece()
                content = (whole(head, piece) if piece[:1] != b"L" else piece) or b""
                cut_up = list(blocks(content, step)) or [b""]
                for at, block in enumerate(cut_up, 1):
                    joined.add("fuzz.ltx", block, last=at == len(cut_up))
                _, found = decode(content, len(content)) or (head, [])
                newest.update(found)
            head = joined.header()
            result = b"".join(joined.blocks())
        except LTXError:
            return
    expected = [(number, page) for number, page in sorted(newest.items()) if number <= head.commit]
    assert decode(result, 1 << 16) == (head, expected)


def whole(head: Header, frames: bytes) -> bytes | None:
    """A file of the frames that can be read, with the right index and checksum behind them; None without a header."""
    decoder = Decoder("frames.ltx")
    try:
        start = head.pack()
        decoder.feed(start + frames)
    except LTXError:
        return None
    used = sum(decoder._lengths)
    tail = index_bytes(decoder._numbers, decoder._lengths, HEADER_SIZE) + U64.pack(0)
    crc = crc64.go_iso(tail, crc64.go_iso(END_OF_PAGES, decoder._crc)) | CHECKSUM_FLAG
    return start + frames[:used] + END_OF_PAGES + tail + U64.pack(crc)


def _header(cut: Cut, *, first: int) -> Header:
    size, commit, more = PAGE_SIZES[cut.byte() % len(PAGE_SIZES)], cut.byte(), cut.byte() % 3
    # Numbers above 250 stand for databases that reach beyond SQLite's lock page.
    return Header(size, commit if commit <= 250 else 1 << (commit - 224), first, first + more, timestamp=commit)
