"""A database's WAL: how far it has grown, and who keeps it from being reused."""

from __future__ import annotations

from litefleet.config.settings import Database
from litefleet.doctor.finding import Finding
from litefleet.sqlite.files import companion
from litefleet.sqlite.holders import Holder, holders, sentence
from litefleet.wal import INDEX_SIZE, WalIndex, frame_offset

#: The agent's own name, as the system tells it.
_AGENT = "litefleet"
_ATTEMPTS = 1000


def check_wal(what: str, database: Database) -> list[Finding]:
    """Nothing if nobody has the database open; this process must not have it open either."""
    try:
        there = companion(database.path, "-shm").stat()
        with companion(database.path, "-shm").open("rb", buffering=0) as file:
            for _ in range(_ATTEMPTS):
                file.seek(0)
                shm = file.read(INDEX_SIZE)
                index = WalIndex.parse(shm)
                if index is not None:
                    break
            else:
                return []
        length = companion(database.path, "-wal").stat().st_size
    except OSError:
        return []  # nobody has it open, or it was said that it cannot be read
    return [judge(what, index, length, database.wal_limit, holders((there.st_dev, there.st_ino), shm))]


def judge(what: str, index: WalIndex, length: int, limit: int, found: list[Holder]) -> Finding:
    """``length`` of the file and ``limit`` in bytes."""
    used = frame_offset(index.frames, index.page_size) if index.frames else 0
    detail = f"{used} bytes committed in a file of {length}, {index.uncopied} of {index.frames} frames to be copied"
    if used < limit // 2:
        return Finding("ok", "wal", what, detail)
    # The agent keeps a read transaction by design, and lets go of it at the limit.
    others = [holder for holder in found if not holder.name.startswith(_AGENT)]
    detail += f"; {sentence(others or found)}"
    hint = "have that program end its transaction: until then nothing after that frame can be copied"
    if not any(holder.kind == "reader" for holder in others):
        hint = "see whether the agent runs and reaches its bucket: it copies what it has sent"
    if used < limit:
        return Finding("warning", "wal", what, f"{detail}; more than half of `wal-limit` ({limit})", hint)
    return Finding("problem", "wal", what, f"{detail}; beyond `wal-limit` ({limit})", hint)
