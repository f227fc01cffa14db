"""The points that are listed are those that can be restored, with what each of them costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litefleet.bucket import Catalogue
from litefleet.bucket.catalogue import LTXFile
from litefleet.bucket.plan import plan
from litefleet.bucket.points import points
from litefleet.errors import NoBackup
from litefleet.nats.objects import ObjectInfo
from tests.unit.bucket.objects import EPOCH, ltx


@st.composite
def buckets(draw: st.DrawFn) -> Catalogue:
    """A few files over few TXIDs, so that they overlap, touch, leave gaps and end at the same one."""
    keys = st.tuples(st.sampled_from([0, 0, 0, 1, 2, 9]), st.integers(1, 8), st.integers(0, 5))
    found: list[ObjectInfo] = []
    for level, lo, more in draw(st.lists(keys, max_size=14, unique=True)):
        if level == 9 and draw(st.integers(0, 9)):
            lo = 1  # noqa: PLW2901  only strange snapshots begin later
        found.append(ltx(level, lo, lo + more, size=draw(st.integers(1, 1000))))
    return Catalogue.of({info.name: info for info in found}.values())


def planned(catalogue: Catalogue, txid: int) -> tuple[LTXFile, int, int] | None:
    try:
        chosen = plan(catalogue, txid=txid)
    except NoBackup:
        return None
    return chosen.files[-1], len(chosen.files), chosen.size


@given(buckets())
@settings(max_examples=500, deadline=None)
def test_every_listed_point_can_be_planned_as_listed_and_no_other(catalogue: Catalogue) -> None:
    listed = points(catalogue.files)
    assert [point.txid for point in listed] == sorted({point.txid for point in listed})
    expected = {txid: made for txid in range(1, 15) if (made := planned(catalogue, txid)) is not None}
    assert {point.txid: (point.file, point.files, point.size) for point in listed} == expected


def of(*objects: ObjectInfo) -> list[tuple[int, str, int, int]]:
    return [(p.txid, p.kind, p.files, p.size) for p in points(Catalogue.of(objects).files)]


def test_an_empty_bucket_has_none() -> None:
    assert points(()) == []


def test_each_point_is_of_the_kind_of_the_file_that_ends_it() -> None:
    assert of(ltx(0, 1, 1), ltx(9, 1, 2), ltx(0, 3, 3), ltx(2, 2, 4), ltx(0, 5, 5)) == [
        (1, "transaction", 1, 100), (2, "snapshot", 1, 100), (3, "transaction", 2, 200),
        (4, "compacted", 2, 200), (5, "transaction", 3, 300),
    ]  # fmt: skip


def test_what_compaction_has_joined_is_one_point_once_its_parts_are_gone() -> None:
    assert [txid for txid, *_ in of(ltx(9, 1, 2), ltx(1, 3, 6), ltx(0, 7, 7))] == [2, 6, 7]


def test_nothing_behind_a_gap_is_a_point() -> None:
    assert [txid for txid, *_ in of(ltx(0, 1, 1), ltx(0, 3, 3), ltx(1, 4, 6))] == [1]


def test_the_time_of_a_point_is_that_of_its_newest_change() -> None:
    (_, newest) = points(Catalogue.of([ltx(9, 1, 4, minute=3), ltx(0, 5, 5, minute=8)]).files)
    assert newest.file.created == EPOCH + timedelta(minutes=8)


@pytest.mark.parametrize("snapshots", [0, 1000])
def test_a_hundred_thousand_files_are_no_matter(snapshots: int) -> None:
    """A plan for each of them would take thousands of millions of steps, and longer than a test may."""
    count = 100_000
    objects = [ltx(0, n, n) for n in range(1, count + 1)]
    objects += [ltx(1, n, n + 99) for n in range(1, count, 100)]
    objects += [ltx(9, 1, n * 100) for n in range(1, snapshots + 1)]
    listed = points(Catalogue.of(objects).files)
    assert [point.txid for point in listed] == list(range(1, count + 1))
    assert listed[-1].files == (1 if snapshots else count // 100)
    assert listed[-2].files == 99 + (1 if snapshots else count // 100 - 1)
