"""When the demo passes, and when it has to fail."""

from __future__ import annotations

import dataclasses

import pytest

from demo.compare import HEADINGS, Outcome, ledger_differences, problems, static_differences

GOOD = Outcome("/var/lib/app/ledger.db", 0x4B6, 0x4B6, 2519, 2519, "ok")


def test_what_came_back_as_it_was_is_no_problem() -> None:
    assert problems([GOOD]) == []
    assert GOOD.cells() == ["ledger.db", f"{0x4B6:016x}", f"{0x4B6:016x}", "2519", "2519", "0", "ok", "yes"]
    assert len(GOOD.cells()) == len(HEADINGS)


def test_rows_that_were_committed_but_not_acknowledged_may_be_lost() -> None:
    outcome = dataclasses.replace(GOOD, rows_back=2518)
    assert (outcome.lost, outcome.problems) == (1, [])


def test_more_may_come_back_than_was_heard_of() -> None:
    outcome = dataclasses.replace(GOOD, restored=0x4B8, rows_back=2521)
    assert (outcome.lost, outcome.problems) == (0, [])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"restored": 0x4B5}, "only 00000000000004b5 came back"),
        ({"restored": None}, "it was not restored"),
        ({"acknowledged": None}, "no transaction was acknowledged"),
        ({"integrity": "row 3 missing from index i"}, "row 3 missing from index i"),
        ({"differences": ["it had 3 rows"]}, "it had 3 rows"),
    ],
)
def test_every_shortcoming_is_named_with_its_database(change: dict[str, object], complaint: str) -> None:
    found = problems([GOOD, dataclasses.replace(GOOD, **change)])  # type: ignore[arg-type]
    assert len(found) == 1
    assert found[0].startswith("/var/lib/app/ledger.db: ")
    assert complaint in found[0]


def test_a_ledger_must_end_in_the_entry_that_was_committed() -> None:
    assert ledger_differences([], "a", "a") == []
    assert ledger_differences([], "a", "b")
    assert ledger_differences([], "", "")  # nothing was heard of it: nothing is proven
    assert ledger_differences(["entries 3 to 4 are missing"], "a", "a") == ["entries 3 to 4 are missing"]


def test_a_shipped_database_must_be_page_for_page_what_it_was() -> None:
    assert static_differences("a", "a", 5, 5) == []
    assert static_differences("a", "b", 5, 5) == ["its pages are not those of the package"]
    assert static_differences("a", "b", 5, 4) == ["it had 5 rows", "its pages are not those of the package"]
