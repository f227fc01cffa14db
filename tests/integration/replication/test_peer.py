"""What litefleet writes, stock Litestream restores, and the other way round: page for page, whatever the page size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.natsserver import NatsServer, nats_server
from tests.support.running import (
    BIN,
    Agent,
    Process,
    Writer,
    assert_same_pages,
    checkpointed,
    litefleet,
    litestream,
    make_bucket,
    settle,
    write_config,
)

PAGE_SIZES = [512, 1024, 4096, 8192, 32768, 65536]


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


def live(writer: Writer, page_size: int) -> None:
    """A life of growing, restarting the WAL, shrinking and growing again."""
    many = max(2, 1_500_000 // (40 * page_size))
    writer.do(f"insert {many} 10 {page_size // 3}")
    writer.do("rollback 200 3000")
    writer.do(f"insert 30 40 {page_size}")
    writer.do("checkpoint passive")
    writer.do("shrink 20")
    writer.do("insert 20 3 100")
    writer.do("checkpoint truncate")
    writer.do(f"insert 5 20 {page_size * 3}")


def restore_with_litefleet(url: str, output: Path) -> None:
    litefleet("restore", url, "-o", output, "--integrity-check", "full")


def restore_with_litestream(url: str, output: Path) -> None:
    """Litestream gives up a file that takes five seconds four times over: on a busy machine it may need another try."""
    for _ in range(3):
        done = litestream("restore", "-integrity-check", "full", "-o", output, url, code=None)
        if "timeout" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr


RESTORES = {"litefleet": restore_with_litefleet, "litestream": restore_with_litestream}


def both_restore(url: str, bucket: str, tmp_path: Path) -> list[Path]:
    outputs = []
    for name, restore in RESTORES.items():
        outputs.append(tmp_path / f"{name}.db")
        restore(f"{url}/{bucket}", outputs[-1])
    return outputs


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_both_restore_what_litefleet_wrote(server: NatsServer, tmp_path: Path, page_size: int) -> None:
    bucket, path = f"ours{page_size}", tmp_path / "app.db"
    make_bucket(server.url, bucket)
    config = write_config(tmp_path / "config.yml", server.url, {path: bucket}, snapshot={"interval": "1s"})
    with Writer(path, str(page_size)) as writer, Agent(config).ready() as agent:
        live(writer, page_size)
        settle(config)
        assert agent.stop() == 0, agent.output()
        assert agent.full_copies() == 1, agent.output()
        writer.close()
    live_pages = tmp_path / "live.db"
    live_pages.write_bytes(checkpointed(path))
    for restored in both_restore(server.url, bucket, tmp_path):
        assert_same_pages(restored, live_pages, page_size)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_both_restore_what_litestream_wrote(server: NatsServer, tmp_path: Path, page_size: int) -> None:
    bucket, path = f"theirs{page_size}", tmp_path / "app.db"
    make_bucket(server.url, bucket)
    config = tmp_path / "litestream.yml"
    config.write_text(f"dbs: [{{path: {path}, replica: {{url: '{server.url}/{bucket}'}}}}]\n")
    with Writer(path, str(page_size)) as writer, Process(BIN / "litestream", "replicate", "-config", config) as peer:
        peer.wait_for("snapshot complete|compaction complete|ltx file uploaded|replica sync")
        live(writer, page_size)
        peer.signal(15)
        assert peer.wait() == 0, peer.output()
        writer.close()
    live_pages = tmp_path / "live.db"
    live_pages.write_bytes(checkpointed(path))
    for restored in both_restore(server.url, bucket, tmp_path):
        assert_same_pages(restored, live_pages, page_size)


def test_litefleet_goes_on_where_litestream_stopped_and_back(server: NatsServer, tmp_path: Path) -> None:
    bucket, path = "relay", tmp_path / "app.db"
    make_bucket(server.url, bucket)
    theirs = tmp_path / "litestream.yml"
    theirs.write_text(f"dbs: [{{path: {path}, replica: {{url: '{server.url}/{bucket}'}}}}]\n")
    ours = write_config(tmp_path / "litefleet.yml", server.url, {path: bucket})
    with Writer(path) as writer:
        for _ in range(2):
            writer.do("insert 5 5 500")
            litestream("replicate", "-config", theirs, "-once")
            writer.do("insert 5 5 500")
            litefleet("replicate", "--config", ours, "--once")
        writer.close()
    live_pages = tmp_path / "live.db"
    live_pages.write_bytes(checkpointed(path))
    for restored in both_restore(server.url, bucket, tmp_path):
        assert_same_pages(restored, live_pages, 4096)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("page_size", "writer", "readers"),
    [
        # With its deadline Litestream gets through so much data in large pages only.
        (65536, "litefleet", ["litefleet", "litestream"]),
        (65536, "litestream", ["litefleet"]),
        (4096, "litefleet", ["litefleet"]),
    ],
)
def test_a_database_beyond_the_lock_page_restores(
    server: NatsServer, tmp_path: Path, page_size: int, writer: str, readers: list[str]
) -> None:
    bucket, path = f"big-{writer}-{page_size}", tmp_path / "app.db"
    make_bucket(server.url, bucket)
    config = tmp_path / "config.yml"
    config.write_text(f"dbs: [{{path: {path}, replica: {{type: nats, url: '{server.url}/{bucket}'}}}}]\n")
    replicate = {"litefleet": litefleet, "litestream": litestream}[writer]
    with Writer(path, str(page_size)) as application:
        application.do("large 22 50000000")
        replicate("replicate", "-config", config, "-once")
        application.do("insert 3 5 3000")
        replicate("replicate", "-config", config, "-once")
        application.close()
    checkpointed(path)
    assert path.stat().st_size > (1 << 30)
    for reader in readers:
        output = tmp_path / f"{reader}.db"
        RESTORES[reader](f"{server.url}/{bucket}", output)
        assert_same_pages(output, path, page_size)
        output.unlink()
