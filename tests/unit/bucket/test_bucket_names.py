"""Names and timestamps are written as Litestream writes them, and read back to the same values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.bucket.names import format_timestamp, object_name, parse_object_name, parse_timestamp

TXIDS = st.integers(1, (1 << 64) - 1)


@given(st.integers(0, 9), TXIDS, TXIDS)
def test_names_round_trip(level: int, one: int, other: int) -> None:
    lo, hi = sorted((one, other))
    name = object_name(level, lo, hi)
    assert parse_object_name(name) == (level, lo, hi)
    assert len(name) == len("ltx/0/0000000000000001-0000000000000001.ltx")


def test_names_are_litestreams() -> None:
    assert object_name(0, 1, 0xA5) == "ltx/0/0000000000000001-00000000000000a5.ltx"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ltx",
        "ltx/0/",
        "/ltx/0/0000000000000001-0000000000000001.ltx",
        "x/ltx/0/0000000000000001-0000000000000001.ltx",
        "ltx/0/0000000000000001-0000000000000001.ltx/x",
        "ltx/0/0000000000000001-0000000000000001.ltx\n",
        "ltx/0/0000000000000001-0000000000000001.ltx.tmp",
        "ltx/0/0000000000000001-0000000000000001",
        "ltx/10/0000000000000001-0000000000000001.ltx",
        "ltx/a/0000000000000001-0000000000000001.ltx",
        "ltx//0000000000000001-0000000000000001.ltx",
        "ltx/٣/0000000000000001-0000000000000001.ltx",
        "ltx/0/000000000000000A-000000000000000A.ltx",
        "ltx/0/000000000000001-0000000000000001.ltx",
        "ltx/0/00000000000000001-0000000000000001.ltx",
        "ltx/0/0000000000000001_0000000000000001.ltx",
        "ltx/0/0000000000000001-0000000000000001xltx",
        "ltx/0/0000000000000000-0000000000000000.ltx",
        "ltx/0/0000000000000000-0000000000000001.ltx",
        "ltx/0/0000000000000002-0000000000000001.ltx",
        "LTX/0/0000000000000001-0000000000000001.ltx",
    ],
)
def test_other_names_are_not_ltx_files(name: str) -> None:
    assert parse_object_name(name) is None


@given(st.text(max_size=60))
def test_any_text_is_a_name_of_ours_or_none(text: str) -> None:
    parsed = parse_object_name(text)
    assert parsed is None or object_name(*parsed) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (1_795_422_742_730, "2026-11-23T08:32:22.73Z"),
        (1_795_422_742_700, "2026-11-23T08:32:22.7Z"),
        (1_795_422_742_735, "2026-11-23T08:32:22.735Z"),
        (1_795_422_742_005, "2026-11-23T08:32:22.005Z"),
        (1_795_422_740_000, "2026-11-23T08:32:20Z"),
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00Z"),
        (-(1 << 63), "0001-01-01T00:00:00Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        ((1 << 63) - 1, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_timestamps_have_gos_form(milliseconds: int, text: str) -> None:
    assert format_timestamp(milliseconds) == text


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_timestamps_round_trip_to_the_millisecond(milliseconds: int) -> None:
    moment = parse_timestamp(format_timestamp(milliseconds))
    assert moment is not None
    assert moment == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-11-23T08:32:22.7Z", 700_000),
        ("2026-11-23T08:32:22.73Z", 730_000),
        ("2026-11-23T08:32:22.730001Z", 730_001),
        ("2026-11-23T08:32:22.730001999Z", 730_001),
        ("2026-11-23T09:32:22.7+01:00", 700_000),
        ("2026-11-23T03:02:22.7-05:30", 700_000),
        ("2026-11-23T08:32:22Z", 0),
    ],
)
def test_times_of_any_precision_and_zone_are_read(text: str, microseconds: int) -> None:
    assert parse_timestamp(text) == datetime(2026, 11, 23, 8, 32, 22, microseconds, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1795422742",
        "2026-11-23",
        "2026-11-23T08:32:22",
        "2026-13-01T00:00:00Z",
        "2026-11-31T00:00:00Z",
        "2026-11-23T25:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-11-23T08:32:22.Z",
    ],
)
def test_what_is_no_moment_is_none(text: str) -> None:
    assert parse_timestamp(text) is None


@given(st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", fullmatch=True))
def test_any_text_is_a_moment_in_utc_or_none(text: str) -> None:
    moment = parse_timestamp(text)
    assert moment is None or moment.tzinfo is UTC
