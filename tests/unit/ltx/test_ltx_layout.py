"""The bytes are those of the format, field by field, read here without the code that is tested."""

from __future__ import annotations

import struct

import lz4.block
import pytest
from fastcrc import crc64 as fast
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litefleet.ltx import HEADER_SIZE, Header
from litefleet.ltx.wire import varint
from tests.unit.ltx.samples import Pages, crc64, encoded, files, handmade, leb128, small
from tests.unit.ltx.samples import frame as page_frame

HEADER = Header(
    page_size=4096, commit=0x01020304, min_txid=0x1112131415161718, max_txid=0x2122232425262728,
    timestamp=0x3132333435363738, wal_offset=0x4142434445464748, wal_size=0x5152535455565758,
    wal_salt1=0x61626364, wal_salt2=0x71727374, node_id=0x0807060504030201,
)  # fmt: skip


@pytest.mark.parametrize(
    ("offset", "content"),
    [
        (0, b"LTX1"),
        (4, bytes.fromhex("00000002")),
        (8, bytes.fromhex("00001000")),
        (12, bytes.fromhex("01020304")),
        (16, bytes.fromhex("1112131415161718")),
        (24, bytes.fromhex("2122232425262728")),
        (32, bytes.fromhex("3132333435363738")),
        (40, bytes(8)),
        (48, bytes.fromhex("4142434445464748")),
        (56, bytes.fromhex("5152535455565758")),
        (64, bytes.fromhex("61626364")),
        (68, bytes.fromhex("71727374")),
        (72, bytes.fromhex("0807060504030201")),
        (80, bytes(20)),
    ],
)
def test_each_field_of_the_header_is_in_its_place(offset: int, content: bytes) -> None:
    data = HEADER.pack()
    assert len(data) == HEADER_SIZE == 100
    assert data[offset : offset + len(content)] == content
    assert Header.unpack(data) == HEADER


def test_pages_of_65536_bytes_are_stored_as_that_number() -> None:
    assert Header(65536, 1, 1, 1, 0).pack()[8:12] == bytes.fromhex("00010000")


def test_the_checksum_is_the_one_of_the_format() -> None:
    assert crc64(b"123456789") == fast.go_iso(b"123456789") == 0xB90956C775A41001


@given(files())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_frames_index_and_trailer_are_laid_out_as_the_format_says(file: tuple[Header, Pages]) -> None:
    header, pages = file
    data = encoded(header, pages)
    at = HEADER_SIZE
    index = b""
    hashed = [data[:at]]
    for number, page in pages:
        found, flags, length = struct.unpack_from(">IHI", data, at)
        assert (found, flags) == (number, 1)
        assert lz4.block.decompress(data[at + 10 : at + 10 + length], uncompressed_size=header.page_size) == page
        hashed += [data[at : at + 10], page]
        index += leb128(number) + leb128(at) + leb128(10 + length)
        at += 10 + length
    index += b"\0"
    assert data[at:-8] == bytes(6) + index + len(index).to_bytes(8, "big") + bytes(8)
    # A checksum over all pages would take minutes here; its parts are compared in the test below, byte by byte.
    assert int.from_bytes(data[-8:], "big") == fast.go_iso(b"".join([*hashed, data[at:-8]])) | 1 << 63


@pytest.mark.parametrize("full", [True, False])
def test_the_file_is_the_one_that_an_independent_writer_makes(full: bool) -> None:
    header, pages = small(full=full)
    assert encoded(header, pages) == handmade(header.pack(), [page_frame(*page) for page in pages])


def test_a_file_without_pages_is_header_end_index_and_trailer() -> None:
    header = Header(page_size=512, commit=5, min_txid=2, max_txid=2, timestamp=0)
    data = encoded(header, [])
    assert data[100:-8] == bytes(6) + b"\0" + (1).to_bytes(8, "big") + bytes(8)
    assert data[-8] & 0x80


@given(st.integers(0, (1 << 64) - 1))
def test_varints_are_leb128(value: int) -> None:
    assert varint(value) == leb128(value)
