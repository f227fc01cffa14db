"""SQLite's WAL read by the book: every frame's checksum is verified, as SQLite does when it recovers one."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    page: int
    #: Size of the database in pages if the frame ends a transaction, else 0.
    commit: int
    #: As it stands in the frame's header.
    checksum: bytes
    content: bytes


@dataclass(frozen=True)
class Wal:
    page_size: int
    salts: bytes
    #: Valid frames up to the last commit.
    committed: list[Frame]
    #: Frames behind them that are in the file, valid or not.
    rest: int

    def newest(self, start: int, stop: int) -> dict[int, int]:
        """The newest frame of each page of the database that frames ``start`` to ``stop`` leave."""
        size = self.committed[stop - 1].commit
        frames = enumerate(self.committed[start:stop], start)
        return {frame.page: index for index, frame in frames if frame.page <= size}


def checksum(data: bytes, order: str, before: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """The cumulative checksum, over 32-bit words in pairs."""
    s0, s1 = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for x0, x1 in zip(words[::2], words[1::2], strict=True):
        s0 = (s0 + x0 + s1) & 0xFFFFFFFF
        s1 = (s1 + x1 + s0) & 0xFFFFFFFF
    return s0, s1


def recover(data: bytes) -> Wal:
    """What SQLite would recover from the bytes of a ``-wal`` file."""
    magic, version, size, _ = struct.unpack_from(">IIII", data)
    assert magic in (0x377F0682, 0x377F0683)
    assert version == 3007000
    order = ">" if magic & 1 else "<"
    running = checksum(data[:24], order)
    assert struct.pack(">II", *running) == data[24:32]
    salts = data[16:24]
    frames: list[Frame] = []
    commits = 0
    for at in range(32, len(data) - size - 23, 24 + size):
        page, commit, found, check = struct.unpack_from(">II8s8s", data, at)
        content = data[at + 24 : at + 24 + size]
        running = checksum(content, order, checksum(data[at : at + 8], order, running))
        if found != salts or struct.pack(">II", *running) != check or not page:
            break
        frames.append(Frame(page, commit, check, content))
        if commit:
            commits = len(frames)
    return Wal(size, salts, frames[:commits], (len(data) - 32) // (24 + size) - commits)


def write(page_size: int, transactions: list[tuple[list[int], int]], *, salts: bytes = b"saltsalt") -> bytes:
    """A WAL of transactions, each the pages it writes and the size of the database after it (0: not committed)."""
    head = struct.pack(">IIII", 0x377F0682, 3007000, page_size, 0) + salts
    running = checksum(head, "<")
    out = bytearray(head + struct.pack(">II", *running))
    count = 0
    for pages, size in transactions:
        for last, page in enumerate(pages, 1):
            count += 1
            start = struct.pack(">II", page, size if last == len(pages) else 0)
            content = struct.pack(">II", page, count) * (page_size // 8)
            running = checksum(content, "<", checksum(start, "<", running))
            out += start + salts + struct.pack(">II", *running) + content
    return bytes(out)
