"""A unit is started, restarted or reloaded as its state and the files say, whatever an earlier run has done."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.litefleet.backup.plugins.modules import service


def unit(*, entered: float, changed: float, active: str = "active", **more: str) -> dict[str, str]:
    """What systemd says; times are seconds from now."""
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    return {
        "ActiveState": active,
        "UnitFileState": "enabled",
        "NeedDaemonReload": "no",
        "ActiveEnterTimestampMonotonic": str(int((now + entered) * 1e6)),
        "StateChangeTimestampMonotonic": str(int((now + changed) * 1e6)),
        **more,
    }


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[str], list[str]]:
    """A file for a restart and one for a reload, both of now."""
    for name in ("key", "config"):
        (tmp_path / name).write_text(name)
    return [str(tmp_path / "key"), str(tmp_path / "missing")], [str(tmp_path / "config")]


@pytest.mark.parametrize(
    ("properties", "verbs"),
    [
        (unit(entered=60, changed=60), []),
        (unit(entered=-60, changed=60), ["restart"]),
        (unit(entered=60, changed=60, active="reloading"), []),
        (unit(entered=60, changed=60, NeedDaemonReload="yes"), ["daemon-reload"]),
        (unit(entered=60, changed=60, active="activating"), ["restart"]),
        (unit(entered=60, changed=60, active="inactive", UnitFileState="disabled"), ["enable", "start"]),
    ],
)
def test_a_restart_is_for_files_that_are_newer_than_the_start(
    files: tuple[list[str], list[str]], properties: dict[str, str], verbs: list[str]
) -> None:
    restart_for, reload_for = files
    assert service.plan(properties, "started", restart_for, reload_for) == (
        verbs,
        restart_for[:1] if verbs == ["restart"] and properties["ActiveState"] == "active" else [],
    )


def test_a_reload_is_for_files_that_are_newer_than_the_last_one(files: tuple[list[str], list[str]]) -> None:
    _, reload_for = files
    assert service.plan(unit(entered=-60, changed=-30), "started", [], reload_for) == (["reload"], reload_for)
    # It was reloaded since: a second run changes nothing.
    assert service.plan(unit(entered=-60, changed=30), "started", [], reload_for) == ([], [])
    # A restart reads everything.
    assert service.plan(unit(entered=-60, changed=-60), "started", *files)[0] == ["restart"]


def test_a_unit_that_is_to_be_stopped_is_only_stopped(files: tuple[list[str], list[str]]) -> None:
    assert service.plan(unit(entered=-60, changed=-60), "stopped", *files) == (["stop"], [])
    assert service.plan(unit(entered=-60, changed=-60, active="inactive"), "stopped", *files) == ([], [])
