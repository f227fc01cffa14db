"""A listing becomes the LTX files in order, whatever else the bucket holds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.bucket import SNAPSHOT_LEVEL, Catalogue
from litefleet.bucket.catalogue import LTXFile
from litefleet.nats.objects import ObjectInfo
from tests.unit.bucket.objects import EPOCH, listed, ltx

JUNK = [listed(name) for name in ("readme", "ltx/0/x.ltx", "ltx/0/0000000000000002-0000000000000001.ltx", "backup/ltx")]


@st.composite
def listings(draw: st.DrawFn) -> list[ObjectInfo]:
    ranges = st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9))
    found = [ltx(level, lo, lo + more) for level, lo, more in draw(st.lists(ranges, max_size=12, unique=True))]
    return draw(st.permutations(found + draw(st.lists(st.sampled_from(JUNK), max_size=2))))


@given(listings())
def test_every_ltx_file_is_there_once_by_level_then_txid_and_nothing_else(objects: list[ObjectInfo]) -> None:
    catalogue = Catalogue.of(objects)
    assert sorted(file.object.name for file in catalogue.files) == sorted(o.name for o in objects if o not in JUNK)
    keys = [(file.level, file.max_txid, file.min_txid) for file in catalogue.files]
    assert keys == sorted(keys)
    for level in range(10):
        assert catalogue.at(level) == tuple(file for file in catalogue.files if file.level == level)


@given(listings())
def test_the_newest_of_everything_is_found(objects: list[ObjectInfo]) -> None:
    catalogue = Catalogue.of(objects)
    assert catalogue.max_txid == max((file.max_txid for file in catalogue.files), default=0)
    newest = catalogue.newest
    heads = [file for file in catalogue.files if file.level == 0 and file.max_txid == catalogue.max_txid]
    assert newest in heads if heads else newest is None
    snapshots = [file.max_txid for file in catalogue.files if file.level == SNAPSHOT_LEVEL]
    found = catalogue.newest_snapshot
    assert (found.max_txid if found else None) == max(snapshots, default=None)


def file_of(info: ObjectInfo) -> LTXFile:
    file = LTXFile.from_object(info)
    assert file is not None
    return file


def test_a_file_is_what_its_name_and_metadata_say() -> None:
    file = file_of(ltx(3, 5, 8, minute=7, size=1234))
    assert (file.level, file.min_txid, file.max_txid, file.size) == (3, 5, 8, 1234)
    assert file.created == EPOCH + timedelta(minutes=7)


def test_the_header_with_the_time_counts_not_the_time_it_was_stored() -> None:
    late = EPOCH + timedelta(days=90)
    name = ltx(0, 1, 1).name
    assert file_of(listed(name, timestamp="2026-11-23T00:00:00Z", stored=late)).created == EPOCH


@pytest.mark.parametrize("timestamp", [None, "", "yesterday", "2026-11-23T00:00:00", "0001-01-01T00:00:00+14:00"])
def test_without_a_usable_header_the_time_it_was_stored_counts(timestamp: str | None) -> None:
    assert file_of(listed(ltx(0, 1, 1).name, timestamp=timestamp, stored=EPOCH)).created == EPOCH
