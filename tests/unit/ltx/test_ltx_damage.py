"""Damage anywhere in a file is noticed: every cut, every flipped bit, and any bytes at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litefleet.errors import LTXError
from litefleet.ltx import Header
from tests.unit.ltx.samples import Pages, decoded, encoded, files, frame, handmade, old_frame, page_of, small


def page_bytes(header: Header, pages: Pages) -> set[int]:
    """Offsets of compressed bytes: the checksum covers what they decompress to, not them."""
    inside: set[int] = set()
    at = 100
    for number, page in pages:
        head, body, _ = frame(number, page)
        inside.update(range(at + len(head), at + len(head) + len(body)))
        at += len(head) + len(body)
    return inside


@pytest.mark.parametrize("full", [True, False])
def test_a_file_cut_anywhere_is_refused(full: bool) -> None:
    content = encoded(*small(full=full))
    for length in range(len(content)):
        with pytest.raises(LTXError):
            decoded([content[:length]])


@pytest.mark.parametrize("full", [True, False])
def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(full: bool) -> None:
    header, pages = small(full=full)
    content = encoded(header, pages)
    compressed = page_bytes(header, pages)
    harmless = 0
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            try:
                found = decoded([bytes(damaged)])
            except LTXError:
                continue
            harmless += 1
            assert position in compressed, f"bit {bit} of byte {position} is not protected"
            assert found == (header, pages)
    assert harmless < len(content) // 10


@given(files(), st.data())
@settings(deadline=None, suppress_health_check=[])
def test_any_bytes_overwritten_in_any_file_are_refused_or_change_nothing(
    file: tuple[Header, Pages], data: st.DataObject
) -> None:
    header, pages = file
    content = bytearray(encoded(header, pages))
    at = data.draw(st.integers(0, len(content) - 1))
    written = data.draw(st.binary(min_size=1, max_size=12))
    content[at : at + len(written)] = written
    try:
        found: Any = decoded([bytes(content)])
    except LTXError:
        return
    assert found == (header, pages)


def test_a_flipped_bit_in_the_older_encoding_is_refused_or_changes_nothing() -> None:
    header, _ = small()
    pages = [(1, page_of(512, 3)), (2, page_of(512, 1)), (3, page_of(512, 2))]
    content = handmade(header.pack(), [old_frame(*page) for page in pages])
    for position in range(100, len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            try:
                assert decoded([bytes(damaged)]) == (header, pages)
            except LTXError:
                continue


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_refused(noise: bytes) -> None:
    with pytest.raises(LTXError):
        decoded([noise])


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_behind_a_header_are_refused(noise: bytes) -> None:
    with pytest.raises(LTXError):
        decoded([small()[0].pack(), noise])
