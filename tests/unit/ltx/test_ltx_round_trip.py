"""Whatever is encoded comes out again, in whatever pieces it arrives, and neither side holds the whole file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litefleet.ltx import Decoder, Header, encode, lock_page
from litefleet.ltx.encode import BLOCK_SIZE
from tests.unit.ltx.samples import LOCK_PAGE, PAGE_SIZES, Pages, decoded, encoded, files, frame, page_of, small


@given(files(), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_file_comes_out_as_it_went_in_however_it_is_cut(file: tuple[Header, Pages], data: st.DataObject) -> None:
    header, pages = file
    content = encoded(header, pages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=20)))
    edges = [0, *cuts, len(content)]
    blocks = [content[start:stop] for start, stop in pairwise(edges)]
    assert decoded(blocks) == (header, pages)


def test_a_page_comes_out_with_its_last_byte_when_the_file_comes_byte_by_byte() -> None:
    header, pages = small()
    content = encoded(header, pages)
    due = {}
    offset = 100
    for number, page in pages:
        head, body, _ = frame(number, page)
        offset += len(head) + len(body)
        due[offset] = (number, page)
    decoder = Decoder("f")
    for position in range(len(content)):
        expected = [due[position + 1]] if position + 1 in due else []
        assert decoder.feed(content[position : position + 1]) == expected
    assert decoder.close() == header


def test_the_header_is_known_as_soon_as_its_bytes_are() -> None:
    header, pages = small()
    content = encoded(header, pages)
    decoder = Decoder("f")
    decoder.feed(content[:99])
    assert decoder.header is None
    decoder.feed(content[99:100])
    assert decoder.header == header


def test_the_encoder_takes_pages_as_it_gives_blocks() -> None:
    count, size = 100, 65536
    header = Header(page_size=size, commit=count, min_txid=1, max_txid=1, timestamp=0)
    taken = 0

    def pages() -> Iterator[tuple[int, bytes]]:
        nonlocal taken
        for number in range(1, count + 1):
            taken = number
            yield number, page_of(size, 3 * number)  # noise: does not get shorter

    blocks = encode(header, pages())
    first = next(blocks)
    assert taken < 20
    rest = list(blocks)
    assert all(BLOCK_SIZE <= len(block) < BLOCK_SIZE + 2 * size for block in [first, *rest[:-1]])
    assert decoded([first, *rest])[1] == list(pages())


def test_the_lock_page_is_where_sqlite_has_it() -> None:
    assert {size: lock_page(size) for size in PAGE_SIZES} == LOCK_PAGE


def test_a_full_file_steps_over_the_lock_page() -> None:
    size = 65536
    page, locked = bytes(size), LOCK_PAGE[size]
    for commit in (locked - 1, locked, locked + 1):
        header = Header(page_size=size, commit=commit, min_txid=1, max_txid=1, timestamp=0)
        decoder = Decoder("f")
        numbers: list[int] = []
        for block in encode(header, ((n, page) for n in range(1, commit + 1) if n != locked)):
            numbers += [number for number, _ in decoder.feed(block)]
        assert decoder.close() == header
        assert numbers == [n for n in range(1, commit + 1) if n != locked]
