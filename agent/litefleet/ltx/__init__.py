"""LTX version 3, the file format that Litestream writes: a header, compressed pages, an index of them, a trailer.

Pure: bytes in, bytes out.
"""

from __future__ import annotations

from litefleet.ltx.decode import Decoder
from litefleet.ltx.encode import encode
from litefleet.ltx.header import HEADER_SIZE, Header, lock_page
from litefleet.ltx.image import ImageChecksum, image_checksum
from litefleet.ltx.merge import Merge, check_follows, misfit

__all__ = [
    "HEADER_SIZE",
    "Decoder",
    "Header",
    "ImageChecksum",
    "Merge",
    "check_follows",
    "encode",
    "image_checksum",
    "lock_page",
    "misfit",
]
