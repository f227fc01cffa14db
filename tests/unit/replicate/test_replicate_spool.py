"""The spool keeps files in order over a crash at any moment, within its budget; whatever is damaged is not believed."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litefleet.errors import DatabaseError
from litefleet.ltx import Header
from litefleet.replicate.spool import Position, Spool, SpoolBudget, SpoolFull

BASE = Position(Header(4096, 10, 5, 5, 1000), {"H": "5"})


def header(txid: int) -> Header:
    return Header(4096, 10, txid, txid, 1000 * txid)


def content(txid: int) -> bytes:
    return header(txid).pack() + f"the pages of {txid}".encode()


def add(spool: Spool, txid: int) -> None:
    spool.add(header(txid), {"H": str(txid)}, iter((content(txid)[:120], content(txid)[120:])))


def made(root: Path, *txids: int, limit: int = 1 << 20) -> Spool:
    spool = Spool(root, "/a.db\nnats://h/b", SpoolBudget(limit))
    spool.set_base(BASE)
    for txid in txids:
        add(spool, txid)
    return spool


def again(root: Path, *, budget: SpoolBudget | None = None, key: str = "/a.db\nnats://h/b") -> Spool:
    """What the next run finds."""
    spool = Spool(root, key, budget or SpoolBudget(1 << 20))
    spool.load()
    return spool


def txids(spool: Spool) -> list[int]:
    return [file.header.max_txid for file in spool.files]


def only_directory(root: Path) -> Path:
    (found,) = root.iterdir()
    return found


def test_the_next_run_finds_what_waits_and_what_it_follows(tmp_path: Path) -> None:
    made(tmp_path, 6, 7, 8)
    spool = again(tmp_path)
    assert spool.base == BASE
    assert txids(spool) == [6, 7, 8]
    assert [spool.read(file) for file in spool.files] == [content(6), content(7), content(8)]
    assert [file.headers for file in spool.files] == [{"H": "6"}, {"H": "7"}, {"H": "8"}]
    assert spool.end == Position(header(8), {"H": "8"})
    assert spool.size == sum(file.size for file in spool.files) == sum(len(content(txid)) for txid in (6, 7, 8))


def test_a_base_alone_is_kept_for_a_start_without_the_bucket(tmp_path: Path) -> None:
    made(tmp_path)
    assert again(tmp_path).end == BASE


def test_without_a_base_nothing_is_believed(tmp_path: Path) -> None:
    made(tmp_path, 6)
    (only_directory(tmp_path) / "base.json").unlink()
    spool = again(tmp_path)
    assert spool.base is None
    assert len(spool) == 0
    assert list(only_directory(tmp_path).iterdir()) == []


def test_what_follows_a_sent_file_goes_on_from_it_in_the_next_run(tmp_path: Path) -> None:
    spool = made(tmp_path, 6, 7, 8)
    spool.remove_first()
    assert spool.base == Position(header(6), {"H": "6"})
    found = again(tmp_path)
    assert found.base == spool.base
    assert txids(found) == [7, 8]


def test_a_file_that_was_sent_but_not_yet_removed_whole_is_no_gap(tmp_path: Path) -> None:
    spool = made(tmp_path, 6, 7)
    # As if the agent had been killed between the two steps of ``remove_first``.
    path = spool.first.path
    path.with_suffix(".json").rename(path.with_name("base.json"))
    found = again(tmp_path)
    assert txids(found) == [7]
    assert not path.exists()


def test_nothing_is_left_of_what_was_sent(tmp_path: Path) -> None:
    budget = SpoolBudget(1 << 20)
    spool = Spool(tmp_path, "k", budget)
    spool.set_base(BASE)
    for txid in (6, 7):
        add(spool, txid)
    assert budget.used == spool.size > 0
    spool.remove_first()
    spool.remove_first()
    assert spool.base is None
    assert (len(spool), spool.size, budget.used) == (0, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    made(tmp_path / "spool", 6)
    assert stat.S_IMODE(only_directory(tmp_path / "spool").stat().st_mode) == 0o700


def test_databases_do_not_see_each_others_files(tmp_path: Path) -> None:
    made(tmp_path, 6)
    assert again(tmp_path, key="/b.db\nnats://h/b").base is None
    assert txids(again(tmp_path)) == [6]


def test_what_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    spool = made(tmp_path, 6, limit=200)
    with pytest.raises(SpoolFull, match="its limit of 200 bytes is reached"):
        add(spool, 7)
    assert txids(spool) == txids(again(tmp_path)) == [6]
    assert not any("7." in path.name for path in only_directory(tmp_path).iterdir())
    spool.remove_first()
    spool.set_base(Position(header(6), {}))
    add(spool, 7)
    assert txids(spool) == [7]


def test_all_databases_share_one_budget(tmp_path: Path) -> None:
    budget = SpoolBudget(2 * len(content(6)))
    one, other = (Spool(tmp_path, key, budget) for key in "ab")
    for spool in (one, other):
        spool.set_base(BASE)
        add(spool, 6)
    with pytest.raises(SpoolFull):
        add(one, 7)
    other.clear()
    add(one, 7)
    assert txids(one) == [6, 7]


def test_a_smaller_budget_in_the_next_run_keeps_the_beginning(tmp_path: Path) -> None:
    made(tmp_path, 6, 7, 8)
    budget = SpoolBudget(2 * len(content(6)))
    spool = again(tmp_path, budget=budget)
    assert txids(spool) == [6, 7]
    assert spool.size == budget.used
    assert spool.end.header.max_txid == 7


def test_content_that_cannot_be_read_costs_no_room(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield content(6)
        raise DatabaseError("gone")

    budget = SpoolBudget(1 << 20)
    spool = Spool(tmp_path, "k", budget)
    spool.set_base(BASE)
    with pytest.raises(DatabaseError, match="gone"):
        spool.add(header(6), {}, broken())
    assert budget.used == 0
    assert [path.name for path in only_directory(tmp_path).iterdir()] == ["base.json"]


def test_a_disk_that_takes_nothing_is_a_full_spool(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file", "k", SpoolBudget(1 << 20))
    with pytest.raises(SpoolFull, match=r"The spool .* takes no more: Not a directory; bring the NATS servers back"):
        spool.set_base(BASE)
    assert spool.base is None


def test_a_spool_that_cannot_be_read_is_an_empty_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made(tmp_path, 6)
    # Something that is no file cannot be removed as one.
    (only_directory(tmp_path) / "strange").mkdir()
    assert txids(again(tmp_path)) == [6]
    assert "cannot be used" in caplog.text


def test_a_file_that_changed_on_disk_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    made(tmp_path, 6)
    spool = again(tmp_path)
    path = spool.first.path
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert spool.read(spool.first) is None
    path.unlink()
    assert spool.read(spool.first) is None


def test_a_directory_that_was_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    spool = made(tmp_path, 6, 7)
    for path in only_directory(tmp_path).iterdir():
        path.unlink()
    only_directory(tmp_path).rmdir()
    add(spool, 8)
    assert [spool.read(file) is None for file in spool.files] == [True, True, False]


_DAMAGE = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(("cut", "flip", "remove")), st.integers(0, 1 << 16)))


@settings(deadline=None, max_examples=50)
@given(damage=_DAMAGE, sent=st.integers(0, 3))
def test_damage_of_any_kind_leaves_a_beginning_or_nothing(damage: list[tuple[int, str, int]], sent: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        spool = made(root, 6, 7, 8, 9)
        for _ in range(sent):
            spool.remove_first()
        for which, kind, where in damage:
            harm(sorted(only_directory(root).iterdir()), which, kind, where)
        budget = SpoolBudget(1 << 20)
        found = again(root, budget=budget)
        assert txids(found) == [6, 7, 8, 9][sent : sent + len(found)]
        assert budget.used == found.size
        for file in found.files:
            assert found.read(file) in (None, content(file.header.max_txid))
        named = {path.name for path in only_directory(root).iterdir()} - {"base.json"}
        assert named == {f"{txid:016x}.{suffix}" for txid in txids(found) for suffix in ("ltx", "json")}


def harm(files: list[Path], which: int, kind: str, where: int) -> None:
    if not files:
        return
    path = files[which % len(files)]
    data = bytearray(path.read_bytes())
    if kind == "remove" or not data:
        path.unlink()
    elif kind == "cut":
        os.truncate(path, where % len(data))
    else:
        data[where % len(data)] ^= 1 + where % 255
        path.write_bytes(data)
