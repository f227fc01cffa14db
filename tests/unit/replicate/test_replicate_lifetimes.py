"""Compaction and retention, over any history: the window stays restorable, and what is not needed goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from litefleet.bucket import Catalogue
from litefleet.bucket.names import FULL_HEADER
from litefleet.bucket.plan import plan
from litefleet.nats.objects import ObjectInfo
from litefleet.replicate.compact import sources
from litefleet.replicate.retain import Policy, next_removal, removable
from tests.unit.bucket.objects import EPOCH, ltx

MINUTE = 60.0
POLICY = Policy(window=30 * MINUTE, l0_retention=5 * MINUTE)


def full(txid: int, *, minute: int) -> ObjectInfo:
    info = ltx(0, txid, txid, minute=minute)
    return replace(info, headers={**info.headers, FULL_HEADER: "1"})


def names(catalogue: Catalogue, level: int) -> list[tuple[int, int]]:
    return [(file.min_txid, file.max_txid) for file in sources(catalogue, level)]


def gone(catalogue: Catalogue, minute: float) -> list[tuple[int, int, int]]:
    now = EPOCH + timedelta(minutes=minute)
    return [(r.file.level, r.file.min_txid, r.file.max_txid) for r in removable(catalogue, POLICY, now)]


def test_the_first_copy_is_not_carried_up_the_levels() -> None:
    assert names(Catalogue.of([ltx(0, 1, 1)]), 1) == []
    assert names(Catalogue.of([ltx(0, 1, 1), ltx(0, 2, 2), ltx(0, 3, 3)]), 1) == [(2, 2), (3, 3)]


def test_compaction_begins_anew_behind_a_later_full_copy() -> None:
    files = [ltx(0, 1, 1), ltx(0, 2, 2), full(3, minute=3), ltx(0, 4, 4)]
    assert names(Catalogue.of(files), 1) == [(4, 4)]


def test_a_level_goes_on_where_it_ended_and_stops_at_a_gap() -> None:
    files = [ltx(1, 2, 3), ltx(0, 2, 2), ltx(0, 3, 3), ltx(0, 4, 4), ltx(0, 5, 5), ltx(0, 7, 7)]
    assert names(Catalogue.of(files), 1) == [(4, 4), (5, 5)]
    assert names(Catalogue.of([*files, ltx(1, 4, 5)]), 2) == [(2, 3), (4, 5)]


def test_level_0_goes_only_when_it_is_old_and_a_level_above_holds_it() -> None:
    files = [ltx(0, 1, 1, minute=0), *(ltx(0, n, n, minute=n) for n in range(2, 7)), ltx(1, 2, 4, minute=4)]
    assert gone(Catalogue.of(files), 9) == [], "the newest source is not old enough, and they go together"
    assert gone(Catalogue.of(files), 10) == [(0, 2, 2), (0, 3, 3), (0, 4, 4)]


def test_the_newest_file_of_level_0_stays_for_a_peer_to_go_on_from() -> None:
    files = [ltx(0, 1, 1), ltx(0, 2, 2, minute=2), ltx(1, 2, 2, minute=2), ltx(9, 1, 2, minute=3)]
    assert (0, 2, 2) not in gone(Catalogue.of(files), 10_000)


def test_nothing_goes_before_there_is_a_full_copy_as_old_as_the_window() -> None:
    files = [ltx(0, 1, 1), ltx(0, 2, 2, minute=1), ltx(9, 1, 2, minute=10), ltx(0, 3, 3, minute=11)]
    assert gone(Catalogue.of(files), 39) == []
    assert gone(Catalogue.of(files), 41) == [(0, 1, 1), (0, 2, 2)]


def test_the_wait_for_the_next_removal_is_told() -> None:
    catalogue = Catalogue.of([ltx(0, 1, 1), ltx(0, 2, 2, minute=1), ltx(9, 1, 2, minute=10), ltx(0, 3, 3, minute=11)])
    wait = next_removal(catalogue, POLICY, EPOCH + timedelta(minutes=39))
    assert wait == 60.0
    assert next_removal(Catalogue.of([ltx(0, 1, 1)]), POLICY, EPOCH + timedelta(days=1)) is None


class Bucket:
    """A bucket as the agent fills it; one minute passes with every step."""

    def __init__(self) -> None:
        self.minute = 0
        self.txid = 1
        self.objects = {info.name: info for info in [ltx(0, 1, 1, minute=0)]}

    @property
    def now(self) -> datetime:
        return EPOCH + timedelta(minutes=self.minute)

    def catalogue(self) -> Catalogue:
        return Catalogue.of(self.objects.values())

    def put(self, info: ObjectInfo) -> None:
        self.objects[info.name] = info

    def step(self, action: str) -> None:
        self.minute += 1
        if action in ("commit", "full"):
            self.txid += 1
            make = full if action == "full" else lambda txid, *, minute: ltx(0, txid, txid, minute=minute)
            self.put(make(self.txid, minute=self.minute))
        elif action == "snapshot":
            self.put(ltx(9, 1, self.txid, minute=self.minute))
        elif action.startswith("level"):
            found = sources(self.catalogue(), int(action[-1]))
            if found:
                minutes = (found[-1].created - EPOCH).total_seconds() // 60
                self.put(ltx(int(action[-1]), found[0].min_txid, found[-1].max_txid, minute=int(minutes)))
        elif action == "retain":
            for removal in removable(self.catalogue(), POLICY, self.now):
                del self.objects[removal.file.object.name]


ACTIONS = ["commit"] * 6 + ["full", "snapshot", "level1", "level1", "level2", "level3", "retain"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=120))
def test_whatever_happened_the_window_can_be_restored(actions: list[str]) -> None:
    bucket = Bucket()
    for action in actions:
        bucket.step(action)
        assert plan(bucket.catalogue()).txid == bucket.txid
        newest = bucket.catalogue().newest
        assert newest is not None
        assert newest.max_txid == bucket.txid
    start = max(0, bucket.minute - int(POLICY.window / MINUTE))
    for minute in range(start, bucket.minute + 1):
        moment = EPOCH + timedelta(minutes=minute)
        assert plan(bucket.catalogue(), timestamp=moment).files[-1].created <= moment
