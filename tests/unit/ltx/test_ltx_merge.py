"""Joined files give the same database as the files one after the other."""

from __future__ import annotations

import tempfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.errors import LTXError
from litefleet.ltx import Decoder, Header, Merge, encode

SIZE = 512
Pages = dict[int, bytes]


def decoded(content: bytes) -> tuple[Header, Pages]:
    decoder = Decoder("joined")
    pages = dict(decoder.feed(content))
    return decoder.close(), pages


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Header, Pages]]:
    """A full file and changes to it, growing and shrinking."""
    commit = draw(st.integers(1, 6))
    fill = st.integers(0, 255).map(lambda byte: bytes([byte]) * SIZE)
    history = [(Header(SIZE, commit, 1, 1, 1000), {n: draw(fill) for n in range(1, commit + 1)})]
    for txid in range(2, draw(st.integers(2, 6))):
        before, commit = commit, draw(st.integers(1, 8))
        numbers = draw(st.sets(st.integers(1, commit))) | set(range(before + 1, commit + 1))
        history.append((Header(SIZE, commit, txid, txid, 1000 + txid, 32), {n: draw(fill) for n in numbers}))
    return history


def joined(history: list[tuple[Header, Pages]], cut: int) -> bytes:
    with tempfile.TemporaryFile() as spool:
        merge = Merge(spool)
        for number, (header, pages) in enumerate(history):
            content = b"".join(encode(header, sorted(pages.items())))
            for at in range(0, len(content), cut):
                merge.add(f"{number}", content[at : at + cut], last=False)
            merge.add(f"{number}", b"", last=True)
        return b"".join(merge.blocks())


@given(histories(), st.integers(1, 2000))
def test_a_joined_file_is_the_newest_of_every_page_that_is_left(history: list[tuple[Header, Pages]], cut: int) -> None:
    header, pages = decoded(joined(history, cut))
    state: Pages = {}
    for step, changed in history:
        state = {n: page for n, page in {**state, **changed}.items() if n <= step.commit}
    last = history[-1][0]
    assert (header.min_txid, header.max_txid, header.commit) == (1, last.max_txid, last.commit)
    assert (header.timestamp, header.wal_offset, header.wal_size) == (last.timestamp, 0, 0)
    assert {n: page for n, page in pages.items() if n <= header.commit} == state


def test_a_gap_is_refused() -> None:
    full = Header(SIZE, 1, 1, 1, 0), {1: bytes(SIZE)}
    with pytest.raises(LTXError, match="does not follow TXID 0000000000000001"):
        joined([full, (replace(full[0], min_txid=3, max_txid=3), {1: bytes(SIZE)})], 4096)


def test_another_page_size_is_refused() -> None:
    other = Header(1024, 1, 2, 2, 0, 32), {1: bytes(1024)}
    with pytest.raises(LTXError, match="pages of 1024 bytes follow pages of 512"):
        joined([(Header(SIZE, 1, 1, 1, 0), {1: bytes(SIZE)}), other], 4096)


def test_an_incomplete_file_is_not_joined() -> None:
    content = b"".join(encode(Header(SIZE, 1, 1, 1, 0), [(1, bytes(SIZE))]))
    with tempfile.TemporaryFile() as spool:
        merge = Merge(spool)
        merge.add("x", content[:-1], last=False)
        with pytest.raises(LTXError, match="not complete"):
            merge.header()
        with pytest.raises(LTXError):
            merge.add("x", b"", last=True)
