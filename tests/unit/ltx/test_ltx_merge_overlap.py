"""Files that overlap or start late are joined too, damaged ones never."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.errors import LTXError
from litefleet.ltx import Header
from litefleet.ltx.merge import Merge
from tests.unit.ltx.samples import Pages, decoded, encoded, page_of, small

SIZE = 512


@st.composite
def chains(draw: st.DrawFn) -> list[tuple[Header, Pages]]:
    """Files that follow each other or overlap, over a database that grows and shrinks."""
    files: list[tuple[Header, Pages]] = []
    top = draw(st.integers(1, 5))
    for step in range(draw(st.integers(1, 5))):
        commit = draw(st.integers(1, 9))
        first = max(2, top + 1 - draw(st.integers(0, 2)))
        top = max(top, first - 1) + draw(st.integers(1, 3))
        header = Header(SIZE, commit, first, top, 1000 + step, 32, 99, 7, 8)
        numbers = draw(st.sets(st.integers(1, commit), max_size=5))
        files.append((header, [(n, page_of(SIZE, draw(st.integers(0, 99)))) for n in sorted(numbers)]))
    return files


def join(contents: list[bytes], step: int = 1 << 20) -> bytes:
    with tempfile.TemporaryFile() as spool:
        merge = Merge(spool)
        for number, content in enumerate(contents):
            for at in range(0, len(content), step):
                merge.add(f"f{number}", content[at : at + step], last=at + step >= len(content))
        return b"".join(merge.blocks())


@given(chains(), st.sampled_from([37, 1 << 20]))
def test_the_newest_version_of_each_page_that_is_left(files: list[tuple[Header, Pages]], step: int) -> None:
    header, pages = decoded([join([encoded(*file) for file in files], step)])
    newest: dict[int, bytes] = {}
    for _, some in files:
        newest.update(some)
    last = files[-1][0]
    assert dict(pages) == {number: page for number, page in newest.items() if number <= last.commit}
    assert header == Header(SIZE, last.commit, files[0][0].min_txid, last.max_txid, last.timestamp)


@pytest.mark.parametrize(("lo", "hi"), [(11, 11), (5, 9), (3, 4), (11, 20)])
def test_a_file_that_does_not_go_on_from_the_one_before_is_refused(lo: int, hi: int) -> None:
    header, pages = small(full=False)
    following = replace(header, min_txid=lo, max_txid=hi)
    with pytest.raises(LTXError, match=r"f1: its header does not follow TXID 0000000000000009; .*restore"):
        join([encoded(header, pages), encoded(following, pages)])


def test_a_damaged_file_is_never_joined() -> None:
    content = encoded(*small(full=False))
    for position in random.Random(1).sample(range(len(content)), 60):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        try:
            joined = join([bytes(damaged)])
        except LTXError:
            continue
        assert decoded([joined])[1] == small(full=False)[1]
