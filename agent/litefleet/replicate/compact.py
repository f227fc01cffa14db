"""Which files of one level become one file of the next. Pure."""

from __future__ import annotations

from litefleet.bucket import Catalogue, LTXFile


def sources(catalogue: Catalogue, level: int) -> tuple[LTXFile, ...]:
    """The files of ``level - 1`` that follow everything at ``level``, as far as they follow each other.

    A full copy is never carried along, level by level: compaction begins anew behind it, and what was before it stays
    as it is until retention takes it.
    """
    below = catalogue.at(level - 1)
    reached = max((file.max_txid for file in catalogue.at(level)), default=0)
    start = max(reached, max((file.max_txid for file in below if file.full), default=0))
    chain: list[LTXFile] = []
    end = 0
    for file in sorted(below, key=lambda file: (file.min_txid, -file.max_txid)):
        if file.min_txid <= start:
            continue
        if chain and file.min_txid > end + 1:
            break
        if file.max_txid > end:
            chain.append(file)
            end = file.max_txid
    return tuple(chain)
