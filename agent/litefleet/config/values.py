"""Durations and sizes as text: read, and written so that reading gives the same value again.

Durations are Go's (``1h30m``, ``500ms``), as Litestream's files have them. A number without a unit is refused:
Litestream would take it for nanoseconds, and nobody means that.
"""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),  # U+00B5
    "μs": Fraction(1, 10**6),  # U+03BC, the same letter on other keyboards
    "ns": Fraction(1, 10**9),
}
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_PART = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"(?P<sign>[+-]?)(?P<parts>(?:{_PART.pattern})+)")
_BARE_NUMBER = re.compile(rf"[+-]?{_NUMBER}")
_LONG_UNITS = re.compile(r"[0-9.]+ *(d|day|days|w|week|weeks)")
#: Go ends at 2^63 nanoseconds, a little later.
_LIMIT = Fraction(292 * 365 * 24 * 3600)

_SIZE = re.compile(r"([0-9]+) ?(B|KB|MB|GB|KiB|MiB|GiB)?")
_SIZE_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_NO_TIME = "is not a time; write for example `30s`, `1m30s`, `24h` or `500ms`"
#: More digits than any size or duration needs; a bound on what is converted.
_MAX_DIGITS = 40


def parse_duration(text: str) -> float:
    """Seconds of a Go duration; raises ValueError with a text that fits behind ``key:``."""
    if text == "0":
        return 0.0
    if len(text) > 2 * _MAX_DIGITS:
        raise ValueError(_NO_TIME)
    if _BARE_NUMBER.fullmatch(text):
        raise ValueError("a time needs a unit; write for example `30s`, `5m` or `500ms`")
    if _LONG_UNITS.fullmatch(text):
        raise ValueError("days and weeks are not units of a time; write hours, for example `24h` or `168h`")
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(_NO_TIME)
    seconds = sum(
        (Fraction(number.rstrip(".")) * _UNITS[unit] for number, unit in _PART.findall(match["parts"])), Fraction()
    )
    if seconds > _LIMIT:
        raise ValueError("is longer than 292 years; write a shorter time")
    return float(-seconds if match["sign"] == "-" else seconds)


def format_duration(seconds: float) -> str:
    """The shortest usual form of ``seconds``: ``24h``, ``1m30s``, ``2.5s``, ``500ms``, ``0s``."""
    nanoseconds = round(Fraction(seconds) * 10**9)
    if nanoseconds < 0:
        return "-" + format_duration(-seconds)
    if 0 < nanoseconds < 10**9:
        for unit, size in (("ms", 10**6), ("us", 10**3), ("ns", 1)):
            if nanoseconds % size == 0:
                return f"{nanoseconds // size}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    whole, fraction = divmod(rest, 10**9)
    second = f"{whole}.{fraction:09d}".rstrip("0").rstrip(".")
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") + (f"{second}s" if rest else "")
    return text or "0s"


def parse_size(text: str) -> int:
    """Bytes of ``1048576``, ``64MiB`` or ``10 MB``; raises ValueError as :func:`parse_duration` does."""
    match = _SIZE.fullmatch(text) if len(text) <= _MAX_DIGITS else None
    if match is None:
        raise ValueError("is not a size; write bytes, or a number with KiB, MiB or GiB, for example `64MiB`")
    return int(match[1]) * _SIZE_UNITS[match[2] or ""]
