"""`litefleet doctor` against a real server."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.natsserver import NatsServer
from tests.support.running import litefleet, make_bucket, write_config


def _database(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t(x)")
    return path


def test_doctor_passes_a_sound_setup_and_leaves_nothing(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "B")
    path = _database(tmp_path / "a.db")
    config = write_config(tmp_path / "c.yml", server.url, {path: "B"})
    for _ in range(2):
        found = json.loads(litefleet("doctor", "--config", config, "--json").stdout)
        assert not [row for row in found if row["status"] == "FAIL"]
        assert "settings fit, 0 bytes used" in [row["detail"] for row in found]
    assert sorted(file.name for file in tmp_path.glob("a.db*")) == ["a.db"]


def test_doctor_names_a_missing_bucket_and_a_missing_database(server: NatsServer, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.yml", server.url, {tmp_path / "none.db": "GONE"})
    found = json.loads(litefleet("doctor", "--config", config, "--json", code=1).stdout)
    failed = [row["what"] for row in found if row["status"] == "FAIL"]
    assert failed == ["bucket GONE", f"database {tmp_path / 'none.db'}"]


def test_doctor_warns_of_a_writer_with_the_wal_reset_bug(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "B")
    path = _database(tmp_path / "a.db")
    with path.open("r+b") as file:
        file.seek(96)
        file.write((3_045_001).to_bytes(4, "big"))
    config = write_config(tmp_path / "c.yml", server.url, {path: "B"})
    found = json.loads(litefleet("doctor", "--config", config, "--json").stdout)
    assert [row["status"] for row in found if row["what"] == f"database {path}"] == ["warn"]
