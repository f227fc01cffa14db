"""What commands print: JSON is JSON, tables line up, and no secret shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from litefleet import __version__
from litefleet.cli.common import duration_text, print_table, size_text, time_text
from litefleet.cli.main import main

SECRET = "correct-horse"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "litefleet.yml"
    replica = "{type: nats, url: nats://h:4222, bucket: %s, username: app, password: " + SECRET + "}"
    path.write_text(
        f"dbs:\n"
        f"- {{path: /data/one.db, replica: {replica % 'one'}}}\n"
        f"- {{path: /data/two.db, replica: {replica % 'two'}}}\n"
    )
    path.chmod(0o600)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert SECRET not in output.out
    return output.out


def test_databases_as_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capsys, "databases", "--config", str(config), "--json")) == [
        {"path": "/data/one.db", "replica": "nats://h:4222/one"},
        {"path": "/data/two.db", "replica": "nats://h:4222/two"},
    ]


def test_databases_as_a_table(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "databases", "-config", str(config)).splitlines() == [
        "path          replica",
        "/data/one.db  nats://h:4222/one",
        "/data/two.db  nats://h:4222/two",
    ]


def test_the_effective_configuration_is_yaml_and_json_of_the_same(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_yaml = yaml.safe_load(run(capsys, "check-config", str(config)))
    as_json = json.loads(run(capsys, "check-config", str(config), "--json"))
    assert as_yaml == as_json
    assert [database["path"] for database in as_json["dbs"]] == ["/data/one.db", "/data/two.db"]


def test_a_quiet_check_prints_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check-config", "--quiet", str(config)) == ""


def test_the_default_configuration_comes_from_the_environment(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITEFLEET_CONFIG", str(config))
    assert "/data/one.db" in run(capsys, "databases")


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output = run(capsys, "version")
    assert output.startswith(f"litefleet {__version__} (SQLite 3.")
    assert output.count("\n") == 1


def test_a_table_is_as_wide_as_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a", "long heading"], [["longer than a", ""], ["", "x"]])
    assert capsys.readouterr().out == "a              long heading\nlonger than a\n               x\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 40, "3.0 TiB"),
    ],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"), (4.24, "4.2s"), (59.94, "59.9s"), (59.97, "1m00s"), (60, "1m00s"), (190, "3m10s"),
        (3599, "59m59s"), (3600, "1h00m"), (18120, "5h02m"), (172799, "47h59m"), (172800, "2d0h"), (273600, "3d4h"),
    ],
)  # fmt: skip
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1)), st.integers(-14, 14))  # noqa: DTZ001
def test_times_are_utc_to_the_millisecond(naive: datetime, hours: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    text = time_text(moment)
    assert text.endswith("Z")
    assert timedelta(0) <= moment - datetime.fromisoformat(text) < timedelta(milliseconds=1)
    assert datetime.fromisoformat(text).tzinfo is UTC
