"""A lease is read as it was written; one that nobody can read is nobody's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from litefleet.bucket.lease import LEASE_NAME, Lease, parse
from litefleet.nats.objects import ObjectInfo


def stored(text: str) -> ObjectInfo:
    return ObjectInfo(LEASE_NAME, "N", 0, 0, "", {"Litefleet-Lease": text}, datetime(2026, 11, 23, tzinfo=UTC), 3)


def test_a_lease_comes_back() -> None:
    lease = Lease("/a.db", "host", "app", "app", 0o640, "run", 1_795_422_742.5, 3)
    assert parse(stored(lease.header())) == lease


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"path": 1, "since": "now", "mode": "0999"}',
        '{"since": 1e999}',
        '{"since": NaN}',
        f'{{"since": {"9" * 400}}}',
    ],
)
def test_what_is_no_lease_is_nobodys(text: str) -> None:
    assert parse(stored(text)) == Lease("", "", sequence=3)
