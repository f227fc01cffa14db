"""What an earlier run, or a crash, left in the spool of a database."""

from __future__ import annotations

import shutil
import struct
import tempfile
from functools import cache
from pathlib import Path

from litefleet.ltx import Header, encode
from litefleet.replicate.spool import Position, Spool, SpoolBudget
from tests.fuzz.target import Cut

LIMIT = 1 << 16
#: The only file that waits, by its TXID.
NAME = f"{2:016x}"


@cache
def _directory() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    """A root, and where in it the files of the one database are."""
    root = tempfile.TemporaryDirectory(prefix="spool-")
    spool = Spool(Path(root.name), "fuzz", SpoolBudget(LIMIT))
    return root, spool._directory


def load(data: bytes) -> None:
    """The base, and one file with its marker: in order and within the limit, or dropped."""
    cut = Cut(data)
    root, directory = _directory()
    directory.mkdir(exist_ok=True)
    (directory / "base.json").write_bytes(cut.piece())
    (directory / f"{NAME}.json").write_bytes(cut.piece())
    (directory / f"{NAME}.ltx").write_bytes(cut.rest)
    budget = SpoolBudget(LIMIT)
    spool = Spool(Path(root.name), "fuzz", budget)
    spool.load()
    assert budget.used == spool.size <= LIMIT
    for file in spool.files:
        assert spool.base is not None
        assert file.header.min_txid == spool.base.header.max_txid + 1
        assert file.path.stat().st_size == file.size
    assert len(list(directory.iterdir())) <= 1 + 2 * len(spool)


def left() -> bytes:
    """What an agent leaves, in the form that ``load`` takes."""
    header = Header(page_size=512, commit=1, min_txid=1, max_txid=1, timestamp=0)
    following = Header(page_size=512, commit=1, min_txid=2, max_txid=2, timestamp=5)
    root, directory = _directory()
    spool = Spool(Path(root.name), "fuzz", SpoolBudget(LIMIT))
    spool.set_base(Position(header, {"Litefleet-Image": "8" * 16}))
    spool.add(following, {"Litestream-Timestamp": "1970-01-01T00:00:00.005Z"}, encode(following, [(1, bytes(512))]))
    base, marker, file = ((directory / name).read_bytes() for name in ("base.json", f"{NAME}.json", f"{NAME}.ltx"))
    shutil.rmtree(directory)
    return b"".join(struct.pack(">H", len(part)) + part for part in (base, marker)) + file
