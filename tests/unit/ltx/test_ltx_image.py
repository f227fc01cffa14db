"""The checksum of a database is the LTX format's: of every page with its number, whatever the order."""

from __future__ import annotations

import struct

from fastcrc import crc64
from hypothesis import given
from hypothesis import strategies as st

from litefleet.ltx import image_checksum

PAGES = st.dictionaries(st.integers(1, 1000), st.binary(min_size=8, max_size=8), max_size=8)


@given(PAGES, st.randoms())
def test_the_order_of_pages_does_not_count(pages: dict[int, bytes], chance: object) -> None:
    shuffled = list(pages.items())
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert image_checksum(pages.items()) == image_checksum(shuffled)


def test_it_is_the_exclusive_or_of_the_pages_sums_with_the_highest_bit_set() -> None:
    one, two = (crc64.go_iso(struct.pack(">I", n) + page) for n, page in ((1, b"a" * 512), (2, b"b" * 512)))
    assert image_checksum([(1, b"a" * 512), (2, b"b" * 512)]) == f"{one ^ two | 1 << 63:016x}"
    assert image_checksum([]) == "8000000000000000"


@given(PAGES, st.integers(1, 1000), st.binary(min_size=8, max_size=8))
def test_another_page_is_another_checksum(pages: dict[int, bytes], number: int, content: bytes) -> None:
    other = {**pages, number: content}
    assert (image_checksum(pages.items()) == image_checksum(other.items())) == (pages == other)
