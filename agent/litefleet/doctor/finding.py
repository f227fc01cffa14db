"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """``status`` is ``ok``, ``warn`` or ``FAIL``; ``hint`` says what to do."""

    status: str
    what: str
    detail: str
    hint: str = ""
