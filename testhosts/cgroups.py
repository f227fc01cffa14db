"""A host's cgroups: one of its own in every hierarchy, so that hosts do not kill each other's services.

Two layouts are known. Where systemd is this machine's PID 1, a delegated scope of it holds the host. Elsewhere the
directories are made below the caller's own, in each version 1 controller and in the unified hierarchy.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from testhosts.system import Unprepared, until, write

# Entered by the shell itself before it becomes the host's supervisor.
ENTER = 'for group in $CGROUPS; do echo 0 > "$group/cgroup.procs" || exit 1; done; '


class Cgroups:
    """The cgroups of one host; ``record`` is the file that remembers them while the host runs."""

    def __init__(self, name: str, record: Path) -> None:
        self._name = name
        self._record = record

    def prepare(self) -> tuple[list[str], str]:
        """Make the cgroups. Returns a prefix for the supervisor's command and the directories it has to enter."""
        self.remove()
        if Path("/run/systemd/system").is_dir():
            unit = f"litefleet-{self._name}.scope"
            write(self._record, f"/sys/fs/cgroup/machine.slice/{unit}\n")
            prefix = ["systemd-run", "--quiet", "--scope", "--collect", "--slice=machine.slice", f"--unit={unit}"]
            return [*prefix, "--property=Delegate=yes", "--property=TasksMax=infinity"], ""
        directories = [own / f"litefleet.{self._name}" for own in _own_directories()]
        write(self._record, "".join(f"{directory}\n" for directory in directories))
        for directory in directories:
            directory.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):  # version 1 starts them empty, and lets no process in
                if (directory / setting).exists() and not (directory / setting).read_text().strip():
                    (directory / setting).write_text((directory.parent / setting).read_text())
        return [], " ".join(map(str, directories))

    def kill(self) -> None:
        """Every process of the host ends at once, frozen ones too."""
        for directory in self._unified():
            (directory / "cgroup.kill").write_text("1")
        until(lambda: not any("populated 1" in _events(d) for d in self._unified()), 30, "the end of all processes")

    def freeze(self) -> None:
        """Stop every process of the host."""
        self._freeze(1)

    def thaw(self) -> None:
        """Go on with every process of the host."""
        self._freeze(0)

    def _freeze(self, frozen: int) -> None:
        for directory in self._unified():
            (directory / "cgroup.freeze").write_text(str(frozen))
        state = f"frozen {frozen}"
        until(lambda: all(state in _events(d) for d in self._unified()), 10, state)

    @property
    def frozen(self) -> bool:
        """Whether the host's processes are stopped."""
        return any("frozen 1" in _events(directory) for directory in self._unified())

    def remove(self) -> None:
        """Take the directories away; no process may be left in them."""
        for top in self._directories():
            until(partial(_removed, top), 10, f"removal of {top}")
        self._record.unlink(missing_ok=True)

    def _directories(self) -> list[Path]:
        try:
            return [Path(line) for line in self._record.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _unified(self) -> list[Path]:
        return [directory for directory in self._directories() if (directory / "cgroup.kill").exists()]


def _own_directories() -> list[Path]:
    """The caller's own cgroup in every mounted hierarchy."""
    where: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind == "cgroup2":
            where[""] = Path(fields.split()[4])
        elif kind == "cgroup":
            where.update(dict.fromkeys(options.split(","), Path(fields.split()[4])))
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, place = line.split(":", 2)
        if top := where.get(controllers.split(",")[0]):
            found.append(top / place.lstrip("/"))
    if "" not in where or not found:
        raise Unprepared("no unified cgroup hierarchy is mounted; hosts need one (Linux 5.14 or later)")
    return found


def _events(directory: Path) -> str:
    try:
        return (directory / "cgroup.events").read_text()
    except FileNotFoundError:
        return ""


def _removed(top: Path) -> bool:
    for directory, _, _ in os.walk(top, topdown=False):
        try:
            Path(directory).rmdir()
        except FileNotFoundError:
            continue
        except OSError:  # busy: a process is not quite gone
            return False
    return True
