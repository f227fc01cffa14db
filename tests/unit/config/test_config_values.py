"""Times and sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.config.values import format_duration, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("24h", 86400.0),
        ("1h2m3.5s", 3723.5),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("2.s", 2.0),
        ("100us", 1e-4),
        ("100µs", 1e-4),
        ("1ns", 1e-9),
        ("+1s", 1.0),
        ("-1m", -60.0),
        ("1s1s", 2.0),
        ("0", 0.0),
        ("0s", 0.0),
    ],
)
def test_go_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["1", "30", "1.5", "-5", ".5", "1000000000"])
def test_number_without_a_unit_asks_for_one(text: str) -> None:
    with pytest.raises(ValueError, match="needs a unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text",
    ["", "s", "1 s", "1S", "1h 2m", "1min", "one", "1,5s", "1e3s", "\u0661s", "1s\n", "1..5s", "1" * (1 << 24) + "x"],
)
def test_what_go_does_not_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["2562048h", "9" * 70 + "h"])
def test_duration_longer_than_go_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than 292 years"):
        parse_duration(text)


@given(st.integers(-292 * 365 * 24 * 3600 * 10**9, 292 * 365 * 24 * 3600 * 10**9))
def test_duration_that_was_written_is_read_back_the_same(nanoseconds: int) -> None:
    seconds = parse_duration(f"{nanoseconds}ns")
    assert parse_duration(format_duration(seconds)) == seconds


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6),
            st.sampled_from(
                [("h", 3600 * 10**9), ("m", 60 * 10**9), ("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)]
            ),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_duration_is_the_sum_of_its_parts(parts: list[tuple[int, tuple[str, int]]]) -> None:
    text = "".join(f"{number}{unit}" for number, (unit, _) in parts)
    nanoseconds = sum(number * size for number, (_, size) in parts)
    if nanoseconds < 9 * 10**18 and text != "0":
        assert parse_duration(text) == nanoseconds / 10**9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (86400.0, "24h"),
        (90.0, "1m30s"),
        (2.5, "2.5s"),
        (0.5, "500ms"),
        (3723.5, "1h2m3.5s"),
        (1e-6, "1us"),
    ],
)
def test_duration_is_written_in_its_usual_form(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("67108864", 67108864), ("64MiB", 67108864), ("1 KiB", 1024), ("2GB", 2 * 10**9)]
)
def test_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5MiB", "64M", "64mib", "1_000", "\u0661", "9" * 100])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)
