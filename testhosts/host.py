"""One host: its life (boot, stop, power loss, replacement), its faults, and commands on it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testhosts import connect, image
from testhosts.cgroups import ENTER, Cgroups
from testhosts.delay import Delay
from testhosts.disk import Disk
from testhosts.network import Network
from testhosts.record import HostRecord
from testhosts.system import DISKS, PATH, STATE, HostsError, attempt, checked, child_of, locked, process_is, run, until

_REBOOT = 133  # nspawn's exit code, under --keep-unit, when the host asked for a reboot
_SUPERVISOR = f'echo $$ > "$PIDFILE"; while "$@"; [ $? = {_REBOOT} ]; do :; done'


@dataclass(frozen=True)
class Status:
    """What ``list`` shows. ``state``: running, starting, degraded, frozen or stopped; ``link``: up, cut or a delay."""

    host: str
    address: str
    state: str
    leader: int | None
    link: str


class Host:
    """A host of a fleet. Obtained from :meth:`Fleet.host`; all times are in seconds."""

    def __init__(self, fleet: str, name: str, record: HostRecord, network: Network, names: Callable[[], str]) -> None:
        self.name = name
        self.record = record
        self.address = network.address(record.number)
        self.directory = STATE / fleet / "hosts" / name
        self.machine = f"{fleet}.{name}"
        self._fleet = STATE / fleet
        self._network = network
        self._names = names
        self._disk = Disk(DISKS / fleet / f"{name}.img", self.directory, Path(record.image))
        self._cgroups = Cgroups(self.machine, self.directory / "cgroups")
        self._delay = Delay(network, record.number, self.directory)

    @property
    def root(self) -> Path:
        """The running host's root directory, seen from this machine."""
        return self._disk.root

    @property
    def console(self) -> Path:
        """The log of everything the host wrote to its console."""
        return self.directory / "console.log"

    @property
    def leader(self) -> int | None:
        """The host's PID 1 as this machine numbers it; None while it is off."""
        return child_of(child_of(self._supervisor()))

    @property
    def frozen(self) -> bool:
        """Whether the host hangs (see :meth:`freeze`)."""
        return self._cgroups.frozen

    def status(self) -> Status:
        """The host's state now."""
        leader = self.leader
        if self._supervisor() is None:
            state = "stopped"
        elif self.frozen:
            state = "frozen"
        else:
            state = self._systemd_state(leader, wait=False) or "starting"
        link = "cut" if self._cut_mark.exists() else self._delay.described() or "up"
        return Status(self.name, self.address, state, leader, link)

    # --- commands -------------------------------------------------------------------------------------------------

    def command(self, words: Sequence[str]) -> list[str]:
        """The command line that runs ``words`` as a unit of the host's own systemd, its streams those of the caller.

        A bare nsenter would keep this machine's capabilities and cgroup.
        """
        leader = self.leader
        if leader is None:
            raise HostsError(f"{self.name} is not running: start it")
        if self.frozen:
            raise HostsError(f"{self.name} is frozen: thaw it")
        escaped = [words[0], *(word.replace("$", "$$") for word in words[1:])]  # systemd would expand them
        unit = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--service-type=exec", "--", *escaped]
        return ["nsenter", "--target", str(leader), "--all", "--", *unit]

    def run(
        self, words: Sequence[str], *, stdin: str = "", check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host. With ``check`` a failing one raises :class:`HostsError`."""
        done = attempt(self.command(words), text=stdin, timeout=timeout)
        return checked(done, f"{self.name}: {shlex.join(words)}") if check else done

    def ssh(
        self, words: Sequence[str], *, stdin: str = "", check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command over SSH; like any ssh, the words are joined for the host's shell."""
        command = ["ssh", "-F", str(connect.config_path(self._fleet)), self.name, "--", *words]
        done = attempt(command, text=stdin, timeout=timeout)
        return checked(done, f"{self.name}: ssh {shlex.join(words)}") if check else done

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self, timeout: float = 90.0, *, cancelled: threading.Event | None = None) -> None:
        """Boot the host if it is off, and wait until it runs. A frozen one goes on."""
        with locked(self.directory):
            if self._supervisor() is None:
                self._boot()
            elif self.frozen:
                self._cgroups.thaw()
        self.wait(timeout, cancelled=cancelled)

    def stop(self, timeout: float = 60.0) -> None:
        """A clean shutdown; after ``timeout`` the host is cut off hard and an error is raised."""
        with locked(self.directory):
            if (supervisor := self._supervisor()) is not None:
                if self.frozen:
                    self._cgroups.thaw()
                if (nspawn := child_of(supervisor)) is not None:
                    os.kill(nspawn, signal.SIGTERM)
                try:
                    until(lambda: self._supervisor() is None, timeout, f"{self.name}: shutdown")
                finally:
                    self._off()
            else:
                self._off()

    def restart(self) -> None:
        """A clean shutdown and a boot."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Power loss.

        The network falls silent (no FIN, no RST), all processes end at once, and of the disk only what the file
        system had sent to it stays.
        """
        with locked(self.directory):
            self._lose_power()

    def replace(self) -> None:
        """The host is gone for good; an empty one of the same name and address boots in its place."""
        with locked(self.directory):
            self._lose_power()
            self._disk.image.unlink(missing_ok=True)
            self._boot()
        self.wait()

    def remove(self) -> None:
        """Everything of the host but its network namespace goes, in whatever state it is."""
        if self.directory.exists():
            with locked(self.directory):
                self._delay.stop()
                self._off()
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{self.machine}", ignore_errors=True)
        self._disk.image.unlink(missing_ok=True)

    def wait(
        self, timeout: float = 90.0, *, after: int | None = None, cancelled: threading.Event | None = None
    ) -> None:
        """Until the host's systemd is ``running``; with ``after``, under another leader than that one (a reboot)."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and not (cancelled and cancelled.is_set()):
            leader = self.leader
            if leader is not None and leader != after:
                state = self._systemd_state(leader, wait=True, timeout=end - time.monotonic())
                if state == "running":
                    return
                if state in ("degraded", "maintenance"):
                    raise HostsError(f"{self.name} is {state}: {self._failed_units(leader)}\n{self._console_tail()}")
            elif self._supervisor() is None:
                raise HostsError(f"{self.name} went off while starting\n{self._console_tail()}")
            time.sleep(0.02)
        why = "was not waited for any longer" if cancelled and cancelled.is_set() else f"not up within {timeout:.0f} s"
        raise HostsError(f"{self.name} {why}\n{self._console_tail()}")

    # --- faults ---------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Pull the network cable; it stays pulled over restarts."""
        self._cut_mark.touch()
        self._network.pull(self.record.number)

    def heal(self) -> None:
        """Plug the network cable back in."""
        self._cut_mark.unlink(missing_ok=True)
        self._network.plug(self.record.number)

    def freeze(self) -> None:
        """Hang: connections stay open and nothing answers."""
        if self._supervisor() is None:
            raise HostsError(f"{self.name} is not running: start it")
        self._cgroups.freeze()

    def thaw(self) -> None:
        """Go on after :meth:`freeze`."""
        self._cgroups.thaw()

    def delay(self, milliseconds: float, jitter: float = 0.0, loss: float = 0.0) -> None:
        """Hold each frame for this long, in each direction, plus or minus ``jitter``; lose ``loss`` percent of them."""
        self._delay.start(milliseconds, jitter, loss)

    def undelay(self) -> None:
        """Back to the plain link."""
        self._delay.stop()

    # --- within ---------------------------------------------------------------------------------------------------

    @property
    def _cut_mark(self) -> Path:
        return self.directory / "cut"

    def _supervisor(self) -> int | None:
        """The shell around nspawn, which starts it again after a reboot."""
        try:
            pid = int((self.directory / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if process_is(pid, [f"--machine={self.machine}"]) else None

    def _boot(self) -> None:
        connect.forget(self._fleet, self.address)
        self._cgroups.kill()  # what an aborted start may have left
        if not self._disk.image.exists():
            self._disk.create(self.record.disk_mb)
        self._disk.mount()
        self._prepare_files()
        self._network.attach(self.name, self.record.number)
        if not self._cut_mark.exists():
            self._network.plug(self.record.number)
        prefix, groups = self._cgroups.prepare()
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.root}",
            f"--machine={self.machine}",
            f"--hostname={self.name}",
            f"--network-namespace-path={self._network.path_of(self.name)}",
            "--register=no",
            "--keep-unit",
            "--kill-signal=SIGRTMIN+3",
            "--console=pipe",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON",
            "--system-call-filter=bpf",
            image.INIT_PATH,
        ]
        supervisor = [*prefix, "sh", "-c", ENTER + _SUPERVISOR, "supervisor", *nspawn]
        environment = {"PATH": PATH, "CGROUPS": groups, "PIDFILE": str(self.directory / "pid")}
        (self.directory / "pid").unlink(missing_ok=True)
        with self.console.open("ab") as log:
            subprocess.run(
                ["setsid", "--fork", *supervisor],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, check=True,
            )  # fmt: skip
        until(lambda: self._supervisor() is not None, 10, f"{self.name}: start of systemd-nspawn")

    def _prepare_files(self) -> None:
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        ssh = self.root / "root/.ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(self._fleet / "id_ed25519.pub", ssh / "authorized_keys")
        self.know_hosts()
        self._disk.sync()

    def know_hosts(self) -> None:
        """Add to the mounted host's /etc/hosts what it lacks of the fleet."""
        file = self.root / "etc/hosts"
        known = file.read_text().splitlines() if file.exists() else ["127.0.0.1 localhost", "::1 localhost"]
        wanted = [*known, *(line for line in self._names().splitlines() if line not in known)]
        file.write_text("\n".join(wanted) + "\n")

    def _lose_power(self) -> None:
        if self._supervisor() is not None:
            self._network.pull(self.record.number)
            self._cgroups.freeze()  # none of its processes shall see the disk fail
        self._disk.lose_power()
        self._off()

    def _off(self) -> None:
        self._cgroups.kill()
        until(lambda: self._supervisor() is None, 10, f"{self.name}: end of systemd-nspawn")
        self._disk.unmount()
        self._cgroups.remove()
        (self.directory / "pid").unlink(missing_ok=True)
        connect.forget(self._fleet, self.address)

    def _systemd_state(self, leader: int | None, *, wait: bool, timeout: float = 10.0) -> str:
        """What the host's systemd says of itself; empty while it cannot be asked."""
        if leader is None:
            return ""
        command = ["nsenter", "--target", str(leader), "--all", "systemctl", "is-system-running"]
        with contextlib.suppress(HostsError):
            asked = attempt([*command, "--wait"] if wait else command, timeout=max(timeout, 0.1))
            return asked.stdout.strip().replace("initializing", "starting")
        return ""

    def _failed_units(self, leader: int) -> str:
        units = run("nsenter", "--target", str(leader), "--all", "systemctl", "--failed", "--plain", "--no-legend")
        return "failed: " + ", ".join(line.split()[0] for line in units.splitlines() if line.strip())

    def _console_tail(self) -> str:
        try:
            return f"end of {self.console}:\n" + self.console.read_text(errors="replace")[-2000:]
        except FileNotFoundError:
            return f"{self.console} was never written"
