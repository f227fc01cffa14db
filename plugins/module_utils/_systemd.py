"""One systemd unit, asked and told through systemctl. For this collection's own plugins only."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

_PROPERTIES = (
    "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,MainPID,"
    "ActiveEnterTimestampMonotonic,StateChangeTimestampMonotonic"
)


class Unit:
    """A unit on this host."""

    def __init__(self, module: Any, name: str) -> None:
        self.module = module
        self.name = name
        self.systemctl = module.get_bin_path("systemctl", True)

    def show(self) -> dict[str, str]:
        """The unit's properties; of a unit that is not there LoadState is ``not-found``."""
        _, out, _ = self.module.run_command([self.systemctl, "show", f"--property={_PROPERTIES}", self.name])
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def run(self, verb: str) -> None:
        """``systemctl VERB UNIT``; a failure ends the module with the unit's last log lines."""
        target = [] if verb == "daemon-reload" else [self.name]
        code, _, err = self.module.run_command([self.systemctl, verb, *target])
        if code:
            self.fail(f"`systemctl {' '.join([verb, *target])}` failed: {err.strip()}")

    def fail(self, message: str) -> None:
        """End the module with a message and the unit's last log lines."""
        command = ["journalctl", "--unit", self.name, "--lines=20", "--no-pager", "--output=cat"]
        _, log, _ = self.module.run_command(command)
        self.module.fail_json(msg=f"{message}\nThe last lines of {self.name}:\n{log.strip() or '(none)'}")


def active_since(properties: dict[str, str]) -> float | None:
    """When the unit became active, in seconds of the wall clock; None if it is not active."""
    return _moment(properties, "ActiveEnterTimestampMonotonic")


def reloaded_at(properties: dict[str, str]) -> float | None:
    """When the unit was started or reloaded last, in seconds of the wall clock; None if it is not active."""
    return _moment(properties, "StateChangeTimestampMonotonic")


def _moment(properties: dict[str, str], name: str) -> float | None:
    if properties.get("ActiveState") not in ("active", "reloading"):
        return None
    monotonic = int(properties.get(name) or 0) / 1e6
    return time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + monotonic


def newer_than(paths: list[str], moment: float) -> list[str]:
    """Those of the paths (links as links, too) that changed after ``moment``."""
    found = []
    for path in paths:
        try:
            changed = max(Path(path).lstat().st_ctime, Path(path).stat().st_mtime)
        except FileNotFoundError:
            continue
        if changed > moment:
            found.append(path)
    return found
