"""A spool whose files are damaged is not one: nothing of it is believed, nor left on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from litefleet.ltx import Header, encode
from litefleet.replicate.spool import Position, Spool, SpoolBudget

BASE = Header(page_size=512, commit=1, min_txid=1, max_txid=1, timestamp=0)
NEXT = Header(page_size=512, commit=1, min_txid=2, max_txid=2, timestamp=5)


def spool(root: Path) -> Spool:
    return Spool(root, "key", SpoolBudget(1 << 20))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """What an agent left, by name."""
    left = spool(tmp_path)
    left.set_base(Position(BASE, {"a": "b"}))
    left.add(NEXT, {"c": "d"}, encode(NEXT, [(1, bytes(512))]))
    return {path.name: path for path in tmp_path.rglob("*.*")}


def test_what_was_left_whole_is_found(files: dict[str, Path], tmp_path: Path) -> None:
    assert len(files) == 3
    found = spool(tmp_path)
    found.load()
    assert found.base == Position(BASE, {"a": "b"})
    assert [file.header for file in found.files] == [NEXT]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"header": "00", "headers": 1, "size": []}']
)
@pytest.mark.parametrize("name", ["base.json", f"{2:016x}.json", f"{2:016x}.ltx"])
def test_what_cannot_be_read_is_dropped(files: dict[str, Path], tmp_path: Path, name: str, content: bytes) -> None:
    files[name].write_bytes(content)
    found = spool(tmp_path)
    found.load()
    assert found.files == ()
    assert (found.base is None) == (name == "base.json")
    left = {path.name for path in tmp_path.rglob("*.*")}
    assert left <= {"base.json"}
