"""What a bucket holds: LTX files under Litestream's names, listed, sorted and found."""

from __future__ import annotations

from litefleet.bucket.catalogue import Catalogue, LTXFile
from litefleet.bucket.names import SNAPSHOT_LEVEL, format_timestamp, object_name

__all__ = ["SNAPSHOT_LEVEL", "Catalogue", "LTXFile", "format_timestamp", "object_name"]
