"""``litefleet history``: the points that it lists are those that ``restore`` reaches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from tests.integration.commands.conftest import Backup, object_name
from tests.support import agent
from tests.support.running import make_bucket


def test_every_point_restores_for_the_price_that_is_listed(backup: Backup, place: Path) -> None:
    answer = agent.run("history", backup.url, "--json").json()
    points = answer["points"]
    assert [int(point["txid"], 16) for point in points] == sorted(backup.states)
    assert {(point["kind"], point["level"]) for point in points} == {("transaction", 0)}
    for point in points:
        output = place / point["txid"]
        arguments = ["restore", backup.url, "-o", output, "--txid", point["txid"]]
        assert agent.run(*arguments, "--dry-run", "--json").json()["bytes"] == point["fetch_bytes"]
        done = agent.run(*arguments, "--json").json()
        assert (done["fetched_bytes"], done["files"], done["created"]) == (
            point["fetch_bytes"], point["files"], point["time"],
        )  # fmt: skip
        assert output.read_bytes() == backup.states[int(point["txid"], 16)]


def test_the_window_is_from_the_oldest_to_the_newest_point(backup: Backup) -> None:
    answer = agent.run("history", "--config", backup.config, backup.database, "--json").json()
    first, *_, last = answer["points"]
    window = answer["window"]
    assert (window["points"], answer["problem"], answer["replica"]) == (4, "", backup.url)
    assert window["oldest"] == {key: first[key] for key in ("txid", "time")}
    assert window["newest"] == {key: last[key] for key in ("txid", "time")}


def test_the_newest_points_are_shown_last_and_the_line_below_counts_all(backup: Backup) -> None:
    done = agent.run("history", backup.url, "--limit", "2")
    assert (done.code, done.err) == (0, "")
    heading, third, fourth, _, window = done.out.splitlines()
    assert heading.split() == ["txid", "time", "kind", "files", "fetch"]
    assert third.startswith(f"{3:016x}  ")
    assert fourth.startswith(f"{4:016x}  ")
    assert window.startswith("4 points from ")
    assert "the newest 2 are shown, `--limit 0` shows all" in window
    assert len(agent.run("history", backup.url, "--limit", "0", "--json").json()["points"]) == 4


def test_a_time_from_the_newest_on_names_the_newest_state(backup: Backup, place: Path) -> None:
    newest = agent.run("history", backup.url, "--json").json()["window"]["newest"]["time"]
    later = (datetime.fromisoformat(newest) + timedelta(days=400)).isoformat()
    for number, moment in enumerate((newest, later)):
        for target in ([backup.url], [backup.database, "--config", backup.config]):
            output = place / f"{number}-{len(target)}"
            done = agent.run("restore", *target, "-o", output, "--timestamp", moment)
            assert done.code == 0, done.err
            assert output.read_bytes() == backup.newest


def test_a_gap_is_said_and_what_is_before_it_listed(backup: Backup, copied: Callable[[], str]) -> None:
    bucket = copied()
    agent.change_object(backup.server.url, bucket, object_name(3), agent.StoredObject.remove)
    done = agent.run("history", f"{backup.server.url}/{bucket}")
    assert (done.code, done.err) == (7, "")
    assert "2 points from" in done.out
    assert done.out.splitlines()[-1].startswith("what is newer cannot be restored: ")
    assert f"TXID {3:016x} is missing" in done.out
    assert "--limit" not in done.out


def test_a_bucket_without_a_backup_is_one_line(backup: Backup) -> None:
    make_bucket(backup.server.url, "no-history")
    url = f"{backup.server.url}/no-history"
    done = agent.run("history", url)
    assert (done.code, done.out) == (7, "")
    assert done.err.startswith(f"litefleet: {url}: The bucket holds no backup; ")
