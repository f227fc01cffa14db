"""All LTX files of one bucket, from one listing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from litefleet.bucket.names import FULL_HEADER, SNAPSHOT_LEVEL, TIMESTAMP_HEADER, parse_object_name, parse_timestamp
from litefleet.nats.objects import ObjectInfo


@dataclass(frozen=True, slots=True)
class LTXFile:
    """One LTX file in the bucket; ``size`` in bytes, ``created`` is the time of the newest change it holds."""

    level: int
    min_txid: int
    max_txid: int
    size: int
    created: datetime
    object: ObjectInfo

    @property
    def base(self) -> bool:
        """Whether a restore can begin with it: it holds every page, from TXID 1 on."""
        return self.min_txid == 1

    @property
    def full(self) -> bool:
        """Whether it holds every page, as far as its name and headers tell."""
        return self.base or FULL_HEADER in self.object.headers

    @classmethod
    def from_object(cls, info: ObjectInfo) -> LTXFile | None:
        """None for objects that are not LTX files."""
        parsed = parse_object_name(info.name)
        if parsed is None:
            return None
        created = parse_timestamp(info.headers.get(TIMESTAMP_HEADER, "")) or info.modified
        return cls(*parsed, info.size, created, info)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The files in order of level, then of TXID."""

    files: tuple[LTXFile, ...]

    @classmethod
    def of(cls, objects: Iterable[ObjectInfo]) -> Catalogue:
        """Sort a listing; objects that are not LTX files are left out."""
        return cls.sorted(filter(None, map(LTXFile.from_object, objects)))

    @classmethod
    def sorted(cls, files: Iterable[LTXFile]) -> Catalogue:
        """Put files in order."""
        return cls(tuple(sorted(files, key=lambda file: (file.level, file.max_txid, file.min_txid))))

    def at(self, level: int) -> tuple[LTXFile, ...]:
        """The files of one level, oldest first."""
        return tuple(file for file in self.files if file.level == level)

    @property
    def max_txid(self) -> int:
        """The highest TXID of any level; 0 for an empty bucket."""
        return max((file.max_txid for file in self.files), default=0)

    @property
    def newest(self) -> LTXFile | None:
        """The level 0 file that holds the highest TXID, if one does."""
        highest = self.max_txid
        return next((file for file in self.at(0) if file.max_txid == highest), None)

    @property
    def newest_snapshot(self) -> LTXFile | None:
        """The snapshot with the highest TXID."""
        return max(self.at(SNAPSHOT_LEVEL), key=lambda file: file.max_txid, default=None)
