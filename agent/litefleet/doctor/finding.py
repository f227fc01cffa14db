"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

#: From bad to good; a ``note`` is nothing to act on.
Status = Literal["problem", "warning", "note", "ok"]
ORDER: tuple[Status, ...] = ("problem", "warning", "note", "ok")


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` is what was looked at, in a word; ``what`` is its object; ``hint`` says what to do."""

    status: Status
    check: str
    what: str
    detail: str
    hint: str = ""


def by_gravity(findings: Iterable[Finding]) -> list[Finding]:
    """Problems first, otherwise as found."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.status))
