"""What is made of a stream's own words: where a limit turns into a warning, and where into a problem."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.doctor.stream import check_account, check_clock, check_durability, check_room, check_settings
from litefleet.nats.jetstream import Names

NAMES = Names("B")
FITTING = {
    "subjects": ["$O.B.C.>", "$O.B.M.>"],
    "storage": "file",
    "discard": "new",
    "max_bytes": -1,
    "max_msgs": -1,
    "max_msgs_per_subject": -1,
    "max_msg_size": -1,
    "max_age": 0,
    "num_replicas": 1,
    "allow_rollup_hdrs": True,
    "allow_direct": True,
}


def settings(**changed: Any) -> list[tuple[str, str]]:
    found = check_settings(NAMES, {"config": {**FITTING, **changed}}, max_payload=1 << 20)
    assert all(finding.hint or finding.status == "ok" for finding in found)
    return [(finding.status, finding.detail) for finding in found]


def test_a_bucket_as_it_should_be() -> None:
    assert settings() == [("ok", "settings fit; storage file, stored as it is")]
    assert settings(compression="s2") == [("ok", "settings fit; storage file, compressed with s2")]


@pytest.mark.parametrize("key", ["deny_purge", "sealed", "no_ack"])
def test_what_must_be_off(key: str) -> None:
    ((status, detail),) = settings(**{key: True})
    assert status == "problem"
    assert detail.startswith(f"`{key}` is True: ")


def test_old_parts_go_only_where_there_is_a_limit() -> None:
    assert settings(discard="old")[0][0] == "warning"
    assert settings(discard="old", max_bytes=1000)[0][0] == "problem"


def test_every_fault_is_told() -> None:
    assert len(settings(allow_direct=False, allow_rollup_hdrs=False, storage="memory", max_age=1, max_msgs=1)) == 5
    assert {status for status, _ in settings(allow_direct=False, subjects=[])} == {"problem"}


@pytest.mark.parametrize(
    ("used", "limit", "status"),
    [(0, -1, "ok"), (10**12, -1, "ok"), (79, 100, "ok"), (80, 100, "warning"), (94, 100, "warning"),
     (95, 100, "problem"), (120, 100, "problem")],
)  # fmt: skip
def test_room_is_told_with_its_share(used: int, limit: int, status: str) -> None:
    found = check_room(NAMES, {"config": {"max_bytes": limit}, "state": {"bytes": used}})
    assert found.status == status
    assert (f"{used} % used" in found.detail) is (limit > 0)


def test_an_account_with_and_without_tiers() -> None:
    (plain,) = check_account("account", {"storage": 90, "limits": {"max_storage": 100}})
    assert (plain.status, plain.what) == ("warning", "account")
    tiers = {
        "R1": {"storage": 1, "limits": {"max_storage": 100}},
        "R3": {"storage": 99, "limits": {"max_storage": 100}},
    }
    assert [(found.status, found.what) for found in check_account("account", {"tiers": tiers})] == [
        ("ok", "account, tier R1"),
        ("problem", "account, tier R3"),
    ]
    (unlimited,) = check_account("account", {"storage": 90, "limits": {"max_storage": -1}})
    assert unlimited.status == "ok"


def durability(replicas: list[dict[str, Any]], state: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    info = {"config": {"num_replicas": 3}, "cluster": {"leader": "n1", "replicas": replicas}, "state": state or {}}
    return [(found.status, found.detail) for found in check_durability(NAMES, info)]


def test_replicas_that_are_behind_are_named() -> None:
    current = {"name": "n2", "current": True}
    assert durability([current, {"name": "n3", "current": True}]) == [("ok", "3 replicas, all of them current")]
    behind = [("warning", "3 replicas, but n3 is offline or behind")]
    assert durability([current, {"name": "n3", "current": False}]) == behind
    assert durability([current, {"name": "n3", "current": True, "offline": True}]) == behind


def test_messages_that_the_server_lost_are_a_problem() -> None:
    current = [{"name": name, "current": True} for name in ("n2", "n3")]
    assert durability(current, {"lost": {"msgs": [4], "bytes": 10}})[0][0] == "problem"


def test_one_replica_is_a_note_that_says_what_it_means() -> None:
    (found,) = check_durability(NAMES, {"config": {"num_replicas": 1}})
    assert found.status == "note"
    assert "sync_interval" in found.hint


@pytest.mark.parametrize(
    ("skew", "status"),
    [(0.0, "ok"), (1.9, "ok"), (-2.2, "warning"), (59, "warning"), (61, "problem"), (-61, "problem")],
)
def test_clocks_may_differ_a_little(skew: float, status: str) -> None:
    found = check_clock("clock", skew, 0.1)
    assert found.status == status
    assert ("ahead of" if skew > 0 else "behind") in found.detail


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_slow_answer_is_not_taken_for_a_wrong_clock(skew: float, round_trip: float) -> None:
    found = check_clock("clock", skew, round_trip)
    assert (found.status == "ok") == (abs(skew) - round_trip / 2 <= 2.0)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["config", "state", "cluster", "tiers", "limits", "ts"]), json))
def test_an_answer_in_another_form_is_not_trusted_blindly(info: dict[str, Any]) -> None:
    """Sections that are none count as empty."""
    assert check_settings(NAMES, info, max_payload=1 << 20)
    assert check_durability(NAMES, info)
    assert check_room(NAMES, info).check == "room"
