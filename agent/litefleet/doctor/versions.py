"""Which SQLite can damage a WAL database."""

from __future__ import annotations

_FIRST, _LAST = 3_007_000, 3_051_002
#: Releases of older branches with the same fix, up to the end of their branch.
_FIXED = ((3_044_006, 3_045_000), (3_050_007, 3_051_000))

WAL_RESET = "SQLite 3.7.0 to 3.51.2 can damage a WAL database when two connections checkpoint and write at one moment"


def version_text(number: int) -> str:
    """``3051002`` is ``3.51.2``."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def resets_wal_wrongly(number: int) -> bool:
    """Whether that SQLite has the WAL-reset bug; ``number`` is as in ``sqlite3_libversion_number()``."""
    return _FIRST <= number <= _LAST and not any(fixed <= number < end for fixed, end in _FIXED)
