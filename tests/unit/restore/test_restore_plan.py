"""A plan is the newest point that can be had, made of files that connect; or it says what is missing."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litefleet.bucket import Catalogue
from litefleet.bucket.catalogue import LTXFile
from litefleet.errors import NoBackup
from litefleet.nats.objects import ObjectInfo
from litefleet.restore import Plan, plan
from tests.unit.bucket.objects import EPOCH, ltx


def minutes(count: int) -> datetime:
    return EPOCH + timedelta(minutes=count)


@st.composite
def buckets(draw: st.DrawFn) -> Catalogue:
    """A few files over few TXIDs, so that they overlap, touch and leave gaps."""
    keys = st.tuples(st.sampled_from([0, 0, 0, 1, 2, 9]), st.integers(1, 7), st.integers(0, 4))
    found: list[ObjectInfo] = []
    for level, lo, more in draw(st.lists(keys, max_size=9, unique=True)):
        if level == 9 and draw(st.integers(0, 9)):
            lo = 1  # noqa: PLW2901  only strange snapshots begin later
        found.append(ltx(level, lo, lo + more, minute=draw(st.integers(0, 6))))
    return Catalogue.of({info.name: info for info in found}.values())


def reachable(files: list[LTXFile]) -> dict[int, int]:
    """Every point that can be made of the files, by trying all; and the fewest files that make it."""
    fewest = {0: 0}
    waiting = [0]
    while waiting:
        at = waiting.pop()
        for file in files:
            if file.level == 9:
                follows = at == 0 and file.min_txid == 1
            else:
                follows = file.min_txid <= at + 1 and file.max_txid > at
            if follows and fewest[at] + 1 < fewest.get(file.max_txid, 1 << 30):
                fewest[file.max_txid] = fewest[at] + 1
                waiting.append(file.max_txid)
    return fewest


def check_chain(chosen: Plan) -> None:
    """Each file can be applied to what those before it make."""
    first, *rest = chosen.files
    assert first.min_txid == 1
    at = first.max_txid
    for file in rest:
        assert file.level != 9
        assert file.min_txid <= at + 1
        assert file.max_txid > at
        at = file.max_txid
    assert chosen.txid == at
    assert chosen.size == sum(file.size for file in chosen.files)


def holds(larger: LTXFile, file: LTXFile) -> bool:
    """Whether a file of a higher level has it all."""
    return larger.level > file.level and larger.min_txid <= file.min_txid and file.max_txid <= larger.max_txid


@given(buckets(), st.none() | st.integers(1, 12), st.none() | st.integers(-1, 7))
@settings(max_examples=600)
def test_a_plan_is_what_trying_everything_finds(catalogue: Catalogue, txid: int | None, minute: int | None) -> None:
    moment = None if minute is None else minutes(minute)
    usable = [
        file
        for file in catalogue.files
        if (txid is None or file.max_txid <= txid) and (moment is None or file.created <= moment)
    ]
    points = reachable(usable)
    best = max(points)
    # A file that a larger one replaces is not missed, should its neighbours be gone.
    missed = [file for file in usable if file.max_txid > best and not any(holds(o, file) for o in catalogue.files)]
    complete = best > 0 and not missed
    if not complete or (txid is not None and best != txid):
        with pytest.raises(NoBackup):
            plan(catalogue, txid=txid, timestamp=moment)
        return
    chosen = plan(catalogue, txid=txid, timestamp=moment)
    check_chain(chosen)
    assert chosen.txid == best
    assert all(file in usable for file in chosen.files)


@given(buckets())
@settings(max_examples=500)
def test_without_snapshots_no_fewer_files_would_do(catalogue: Catalogue) -> None:
    catalogue = Catalogue(tuple(file for file in catalogue.files if file.level != 9))
    points = reachable(list(catalogue.files))
    best = max(points)
    if best and best == catalogue.max_txid:
        assert len(plan(catalogue).files) == points[best]


@given(buckets(), st.integers(1, 12))
def test_the_points_that_an_error_names_can_be_had(catalogue: Catalogue, txid: int) -> None:
    try:
        plan(catalogue, txid=txid)
    except NoBackup as error:
        for name in re.findall("[0-9a-f]{16}", error.message.partition("cannot be restored")[2]):
            assert plan(catalogue, txid=int(name, 16)).txid == int(name, 16) != txid


def of(*objects: ObjectInfo) -> Catalogue:
    return Catalogue.of(objects)


def names(chosen: Plan) -> list[tuple[int, int, int]]:
    return [(file.level, file.min_txid, file.max_txid) for file in chosen.files]


L0 = [ltx(0, n, n, minute=n) for n in range(1, 7)]


def test_the_newest_snapshot_is_the_start_not_the_last_one_listed() -> None:
    assert names(plan(of(ltx(9, 1, 4), ltx(9, 1, 2), *L0))) == [(9, 1, 4), (0, 5, 5), (0, 6, 6)]


def test_the_file_that_reaches_farthest_is_taken_and_of_two_the_one_that_starts_first() -> None:
    assert names(plan(of(*L0, ltx(1, 2, 4), ltx(2, 1, 4), ltx(1, 4, 6)))) == [(2, 1, 4), (1, 4, 6)]


def test_of_two_files_that_reach_as_far_the_one_that_starts_first_is_taken() -> None:
    assert names(plan(of(ltx(9, 1, 3), ltx(0, 4, 6), ltx(1, 2, 6), ltx(2, 3, 6)))) == [(9, 1, 3), (1, 2, 6)]


def test_of_two_files_over_the_same_range_the_compacted_one_is_taken() -> None:
    assert names(plan(of(*L0, ltx(1, 1, 6), ltx(2, 1, 6)))) == [(2, 1, 6)]


def test_an_exact_txid_is_reached_or_there_is_no_backup() -> None:
    catalogue = of(*L0[:3], ltx(1, 4, 6))
    assert plan(catalogue, txid=3).txid == 3
    assert plan(catalogue, txid=6).txid == 6
    with pytest.raises(NoBackup, match=r"TXID 0000000000000005 .* around it there are 0000000000000003 and"):
        plan(catalogue, txid=5)


def test_a_timestamp_includes_the_change_of_that_moment() -> None:
    catalogue = of(*L0)
    assert plan(catalogue, timestamp=minutes(4)).txid == 4
    assert plan(catalogue, timestamp=minutes(4) - timedelta(microseconds=1)).txid == 3
    assert plan(catalogue, timestamp=minutes(4) + timedelta(microseconds=1)).txid == 4
    assert plan(catalogue, timestamp=minutes(9999)).txid == 6
    assert plan(catalogue, timestamp=minutes(1)).txid == 1


def test_a_txid_before_a_gap_can_be_had() -> None:
    assert plan(of(*L0[:2], *L0[3:]), txid=2).txid == 2


class TestWhatAnErrorSays:
    def error(self, catalogue: Catalogue, *, txid: int | None = None, timestamp: datetime | None = None) -> str:
        with pytest.raises(NoBackup) as caught:
            plan(catalogue, txid=txid, timestamp=timestamp)
        assert caught.value.hint, "no remedy"
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_an_empty_bucket(self) -> None:
        assert "holds no backup" in self.error(of())
        assert "holds no backup" in self.error(of(), txid=5)

    def test_a_gap(self) -> None:
        text = self.error(of(*L0[:2], *L0[3:]))
        assert "0000000000000003 is missing" in text
        assert "from 0000000000000004 on" in text
        assert "--txid 0000000000000002" in text

    def test_a_gap_names_the_first_file_behind_it(self) -> None:
        assert "from 0000000000000004 on" in self.error(of(L0[0], L0[5], L0[3]))

    def test_no_full_copy(self) -> None:
        assert "no full copy" in self.error(of(*L0[1:]))

    def test_a_txid_that_is_too_new(self) -> None:
        assert "the newest is 0000000000000006" in self.error(of(*L0), txid=7)

    def test_a_txid_that_is_too_old(self) -> None:
        assert "the oldest is 0000000000000004" in self.error(of(ltx(9, 1, 4)), txid=2)

    def test_a_txid_between_two(self) -> None:
        assert "around it there are 0000000000000002 and 0000000000000005" in self.error(
            of(*L0[:2], ltx(1, 3, 5), L0[5]), txid=4
        )

    def test_a_txid_behind_a_gap(self) -> None:
        assert "files before it are missing" in self.error(of(*L0[:2], *L0[3:]), txid=5)

    def test_a_neighbour_is_a_point_that_can_be_had(self) -> None:
        text = self.error(of(*L0[:2], ltx(1, 4, 6), ltx(1, 4, 8)), txid=7)
        assert "0000000000000006" not in text
        assert "0000000000000008" not in text
        assert "0000000000000002" in text

    def test_a_time_before_everything(self) -> None:
        text = self.error(of(*L0), timestamp=minutes(0))
        assert "2026-11-23T00:00:00Z" in text
        assert "2026-11-23T00:01:00Z" in text

    def test_a_time_before_the_first_full_copy(self) -> None:
        text = self.error(of(*L0[1:], ltx(9, 1, 6, minute=6)), timestamp=minutes(3))
        assert "2026-11-23T00:03:00Z" in text
        assert "2026-11-23T00:06:00Z" in text
