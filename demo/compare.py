"""The comparison at the end: what the world knew before the power loss, and what came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

HEADINGS = (
    "database", "acknowledged", "restored", "rows before", "rows back", "lost", "integrity", "equal",
)  # fmt: skip


@dataclass
class Outcome:
    """One database.

    ``acknowledged`` and ``restored`` are TXIDs, None where unknown. ``rows_before`` counts the rows whose commit
    was heard of, ``rows_back`` the restored ones. ``differences`` says where the content is not what it was.
    """

    database: str
    acknowledged: int | None
    restored: int | None
    rows_before: int
    rows_back: int
    integrity: str
    differences: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Rows committed but not restored: at most those not acknowledged when the power went."""
        return max(0, self.rows_before - self.rows_back)

    @property
    def problems(self) -> list[str]:
        """Why the demo has failed; empty if it has not."""
        found = []
        if self.acknowledged is None:
            found.append("no transaction was acknowledged before the power loss")
        if self.restored is None:
            found.append("it was not restored")
        if self.acknowledged is not None and self.restored is not None and self.restored < self.acknowledged:
            found.append(f"TXID {self.acknowledged:016x} was acknowledged, but only {self.restored:016x} came back")
        if self.integrity != "ok":
            found.append(f"integrity check: {self.integrity}")
        return [f"{self.database}: {problem}" for problem in [*found, *self.differences]]

    def cells(self) -> list[str]:
        """The row under HEADINGS."""
        return [
            PurePath(self.database).name,
            _txid(self.acknowledged),
            _txid(self.restored),
            str(self.rows_before),
            str(self.rows_back),
            str(self.lost),
            self.integrity,
            "no" if self.differences else "yes",
        ]


def problems(outcomes: Sequence[Outcome]) -> list[str]:
    """Everything that is wrong with any database."""
    return [problem for outcome in outcomes for problem in outcome.problems]


def ledger_differences(found_wrong: Sequence[str], digest_before: str, digest_back: str) -> list[str]:
    """Where a restored ledger is not the one that was written.

    ``digest_before`` is the digest that was heard of for the last restored entry (or the last heard one, if more came
    back) and ``digest_back`` the one it has now; a digest covers all entries before its own.
    """
    wrong = list(found_wrong)
    if not digest_before or digest_back != digest_before:
        wrong.append("the last restored entry is not the one that was committed")
    return wrong


def static_differences(pages_before: str, pages_back: str, rows_before: int, rows_back: int) -> list[str]:
    """Where a database that nobody writes to is not the one that was shipped."""
    wrong = []
    if rows_before != rows_back:
        wrong.append(f"it had {rows_before} rows")
    if pages_before != pages_back:
        wrong.append("its pages are not those of the package")
    return wrong


def _txid(value: int | None) -> str:
    return "-" if value is None else f"{value:016x}"
