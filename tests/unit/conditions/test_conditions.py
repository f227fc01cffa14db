"""The table of hard conditions leaves out nothing that it should show."""

from __future__ import annotations

from tests.conditions import elsewhere
from tests.conditions.__main__ import CONDITIONS

#: What was tried over NATS and failed, then the weak points of the peer's engine.
WEAKNESSES = {*range(1, 16), *range(801, 828)}


def test_every_known_weakness_is_provoked_or_accounted_for_once() -> None:
    numbers = [one.number for one in CONDITIONS] + [*elsewhere.SHOWN, *elsewhere.NOT_PROVOKED]
    assert sorted(numbers) == sorted(WEAKNESSES)


def test_what_is_shown_elsewhere_is_shown() -> None:
    shown = {number for _, rows in elsewhere.SHOWN.values() for number in rows}
    assert shown <= {one.number for one in CONDITIONS}


def test_rows_are_in_order_and_told_apart() -> None:
    assert [one.number for one in CONDITIONS] == sorted(one.number for one in CONDITIONS)
    assert len({one.title for one in CONDITIONS}) == len(CONDITIONS)
