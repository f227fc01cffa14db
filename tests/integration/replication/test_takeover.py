"""litefleet and stock Litestream take a bucket over from each other, three times in each direction, without a gap.

Neither is told anything: no `--takeover`, no file of either is removed in between.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.natsserver import NatsServer, nats_server
from tests.support.running import (
    BIN,
    PATIENCE,
    Agent,
    Process,
    Writer,
    assert_same_pages,
    checkpointed,
    litefleet,
    litestream,
    make_bucket,
    write_config,
)

#: Each takes over from the other three times.
LEGS = ("litestream", "litefleet") * 3 + ("litestream",)


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


class Relay:
    """One database, one bucket, two programs that hold the baton in turn."""

    def __init__(self, server: NatsServer, directory: Path, bucket: str) -> None:
        make_bucket(server.url, bucket)
        self.url = f"{server.url}/{bucket}"
        self.path = directory / "app.db"
        self.directory = directory
        # Levels, snapshots and removals are to happen while the baton goes round.
        self._ours = write_config(
            directory / "litefleet.yml", server.url, {self.path: bucket},
            snapshot={"interval": "3s"}, levels=[{"interval": "2s"}], spool={"path": str(directory / "spool")},
        )  # fmt: skip
        self._theirs = directory / "litestream.yml"
        self._theirs.write_text(
            f"snapshot: {{interval: 4s}}\nlevels: [{{interval: 2s}}]\n"
            f"dbs: [{{path: {self.path}, replica: {{url: '{self.url}'}}}}]\n"
        )

    def start(self, program: str) -> Process:
        if program == "litefleet":
            return Agent(self._ours)
        return Process(BIN / "litestream", "replicate", "-config", self._theirs)

    def newest(self) -> int:
        """The highest TXID in the bucket; fails if one is missing between the level 0 files."""
        files = litefleet("ltx", self.url, "--level", "0", "--json")
        spans = sorted((int(one["min_txid"], 16), int(one["max_txid"], 16)) for one in json.loads(files.stdout))
        for (_, before), (after, _) in itertools.pairwise(spans):
            assert after <= before + 1, f"nothing holds TXID {before + 1} to {after - 1}"
        return spans[-1][1] if spans else 0

    def restored(self, program: str) -> Path:
        """By a program, with SQLite's full check; None of its files may go away while it reads: then once more."""
        output = self.directory / f"{program}.db"
        output.unlink(missing_ok=True)
        restore = {"litefleet": litefleet, "litestream": litestream}[program]
        for left in (3, 2, 1, 0):
            done = restore("restore", "-integrity-check", "full", "-o", output, self.url, code=None)
            if not done.returncode:
                break
            assert left, done.stderr
        return output

    def wait_held(self, entries: int) -> None:
        """Until what litefleet restores has that many entries; then Litestream has to restore them too."""
        deadline = time.monotonic() + PATIENCE
        while (found := held(self.restored("litefleet"))) < entries:
            assert time.monotonic() < deadline, f"{found} of {entries} entries are in the bucket"
        assert found == entries
        assert held(self.restored("litestream")) == entries

    def is_sound(self, program: str, entries: int) -> bool:
        """``wait_held``; False if Litestream, having the baton, has put a mixture into the bucket.

        It goes on with a WAL that was restarted while nobody held it, and may miss what was in the one before: then its
        own restore shows the same, and litefleet's next leg has to heal it. While litefleet has the baton, or if only
        its restore is at fault, that is a failure.
        """
        try:
            self.wait_held(entries)
        except AssertionError as error:
            if program == "litefleet":
                raise
            try:
                held(self.restored("litestream"))
            except AssertionError:
                print(f"Litestream wrote what neither program can restore whole: {error}")
                return False
            raise
        return True

    def wait_beyond(self, txid: int) -> None:
        """Until the bucket holds something after a TXID."""
        deadline = time.monotonic() + PATIENCE
        while self.newest() <= txid:
            assert time.monotonic() < deadline, f"nothing came after TXID {txid}"


def held(path: Path) -> int:
    """The newest entry of a restored database; fails unless its entries are whole, as written, and without a gap."""
    with sqlite3.connect(f"file:{path}?immutable=1", uri=True) as connection:
        rows = connection.execute("SELECT id, body, digest FROM entry ORDER BY id").fetchall()
        (total,) = connection.execute("SELECT entries FROM total").fetchone()
    connection.close()
    assert total == len(rows), "half of a transaction was restored"
    assert all(hashlib.sha256(body).hexdigest() == digest for _, body, digest in rows), "an entry has another content"
    newest = int(rows[-1][0])
    assert [row[0] for row in rows] == list(range(newest - len(rows) + 1, newest + 1)), "entries are missing"
    return newest


def committed(answer: str) -> int:
    """What the writer says of ``halt``."""
    return int(answer.split()[1])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_the_baton_goes_round_without_a_gap(server: NatsServer, tmp_path: Path, page_size: int, end: str) -> None:
    relay = Relay(server, tmp_path, f"relay-{page_size}-{end}")
    with Writer(relay.path, str(page_size)) as writer:
        writer.do(f"insert 20 5 {page_size}")
        for leg, program in enumerate(LEGS):
            before = relay.newest()
            writer.do(f"go 4 {page_size // 2} 0.02")
            with relay.start(program) as process:
                relay.wait_beyond(before)
                entries = committed(writer.do("halt"))
                sound = relay.is_sound(program, entries)
                between = relay.newest()
                writer.do(("checkpoint passive", "checkpoint truncate", "shrink 30", "rollback 50 3000")[leg % 4])
                writer.do(f"go 4 {page_size // 2} 0.01")
                relay.wait_beyond(between)
                if end == "stop":
                    process.signal(15)
                    assert process.wait() == 0, process.output()
                else:
                    process.kill()  # in the middle of whatever it does
            writer.do("halt")
            if sound:
                assert held(relay.restored("litefleet")) >= entries
            writer.do("insert 2 3 500")
        with relay.start("litefleet") as process:
            relay.wait_held(committed(writer.do("halt")))
            process.signal(15)
            assert process.wait() == 0, process.output()
        writer.close()
    live = tmp_path / "live.db"
    live.write_bytes(checkpointed(relay.path))
    for program in ("litefleet", "litestream"):
        assert_same_pages(relay.restored(program), live, page_size)
