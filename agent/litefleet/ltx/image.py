"""A checksum of a whole database: the LTX format's own, which Litestream leaves out of its files."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from fastcrc import crc64

from litefleet.ltx.wire import CHECKSUM_FLAG

_NUMBER = struct.Struct(">I")


class ImageChecksum:
    """Every page counts with its number, in any order; the lock page does not."""

    def __init__(self) -> None:
        self._value = 0

    def through(self, pages: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Yield the pages as they are, and count them."""
        go_iso, pack = crc64.go_iso, _NUMBER.pack
        for number, page in pages:
            self._value ^= go_iso(page, go_iso(pack(number)))
            yield number, page

    @property
    def text(self) -> str:
        """The checksum of the pages so far, as 16 hex digits."""
        return f"{self._value | CHECKSUM_FLAG:016x}"


def image_checksum(pages: Iterable[tuple[int, bytes]]) -> str:
    """The checksum of these pages, as 16 hex digits."""
    checksum = ImageChecksum()
    for _ in checksum.through(pages):
        pass
    return checksum.text
