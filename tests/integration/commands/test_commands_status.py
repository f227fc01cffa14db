"""`litefleet status` without an agent: it never says that all is well when something committed is not in the bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.natsserver import NatsServer
from tests.support.running import Writer, litefleet, make_bucket, write_config


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Writer]:
    with Writer(tmp_path / "app.db") as running:
        yield running


@pytest.fixture
def config(server: NatsServer, app: Writer, tmp_path: Path) -> Path:
    """Of a database with five transactions, all of them in its bucket."""
    bucket = tmp_path.name
    make_bucket(server.url, bucket)
    app.do("insert 5 5 500")
    path = write_config(tmp_path / "litefleet.yml", server.url, {tmp_path / "app.db": bucket})
    litefleet("replicate", "--config", path, "--once")
    return path


def status(config: Path) -> dict[str, Any]:
    done = litefleet("status", "--config", config, "--json", code=None)
    (row,) = json.loads(done.stdout)
    assert (done.returncode == 0) == (row["status"] == "ok")
    return dict(row)


def test_all_is_in_the_bucket(config: Path) -> None:
    row = status(config)
    assert (row["status"], row["pending_bytes"], row["lag"], row["source"]) == ("ok", 0, 0, "bucket")


def test_what_is_in_the_wal_only(config: Path, app: Writer) -> None:
    app.do("insert 1 5 500")
    row = status(config)
    assert row["status"] == "behind"
    assert row["pending_bytes"] > 500


@pytest.mark.parametrize("mode", ["restart", "truncate"])
def test_what_a_checkpoint_has_moved_into_the_database(config: Path, app: Writer, mode: str) -> None:
    app.do("insert 5 5 500")
    assert app.do(f"checkpoint {mode}").startswith("done (0,")
    assert status(config)["status"] != "ok"
    app.do("insert 1 5 500")
    assert status(config)["status"] == "behind"


def test_a_wal_that_was_restarted_after_all_was_sent(config: Path, app: Writer) -> None:
    """The frames that were sent are still in the file, so that it can be told."""
    app.do("checkpoint restart")
    assert status(config)["status"] == "ok"


def test_a_wal_that_was_truncated_after_all_was_sent(config: Path, app: Writer) -> None:
    """Nothing is left that could tell: better too careful."""
    app.do("checkpoint truncate")
    row = status(config)
    assert (row["status"], row["pending_bytes"]) == ("unknown", None)
    assert "only a running agent can tell" in row["detail"]


def test_a_transaction_that_was_taken_back(config: Path, app: Writer) -> None:
    app.do("rollback 200 4000")
    assert status(config)["status"] == "ok"


def test_a_transaction_that_was_taken_back_in_a_restarted_wal(config: Path, app: Writer) -> None:
    """Its frames have replaced those that were sent."""
    app.do("checkpoint restart")
    app.do("rollback 200 4000")
    assert status(config)["status"] == "unknown"
