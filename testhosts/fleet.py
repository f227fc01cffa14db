"""A fleet: several hosts on one network, up together and taken down without a trace."""

from __future__ import annotations

import concurrent.futures
import contextlib
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from testhosts import connect, delay, image
from testhosts.host import Host, Status
from testhosts.network import Network
from testhosts.record import Record, checked_name
from testhosts.system import (
    DISKS,
    STATE,
    HostsError,
    Unprepared,
    attempt,
    check_machine,
    checked,
    locked,
    mounts_below,
    run,
)

DISK_MB = 2048
SMALLEST_DISK_MB = 32


class Fleet:
    """The fleet of this name, whether it is up or not; as a context manager it is taken down at the end."""

    def __init__(self, name: str = "fleet") -> None:
        check_machine()
        self.name = checked_name("fleet", name)
        self.directory = STATE / name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F`` and Ansible's ``ssh_args``."""
        return connect.config_path(self.directory)

    @property
    def network(self) -> Network:
        """The fleet's network."""
        return Network(self.name, self._record().subnet)

    def host(self, name: str) -> Host:
        """A host by its name."""
        record = self._record()
        if name not in record.hosts:
            known = ", ".join(record.hosts) or "none"
            raise Unprepared(f"fleet {self.name} has no host {name} (it has: {known})")
        network = Network(self.name, record.subnet)
        return Host(self.name, name, record.hosts[name], network, self._names)

    def hosts(self) -> list[Host]:
        """All hosts."""
        record = Record.load(self.name)
        return [self.host(name) for name in record.hosts] if record else []

    def status(self) -> list[Status]:
        """The state of each host now."""
        return [host.status() for host in self.hosts()]

    def up(self, names: Sequence[str], *, disk_mb: int = DISK_MB, suite: str = image.SUITE) -> None:
        """Running hosts of these names. New ones are added, stopped ones started, running ones stay as they are."""
        for name in names:
            checked_name("host", name)
        if not names:
            raise Unprepared("name the hosts")
        if disk_mb < SMALLEST_DISK_MB:
            raise Unprepared(f"a disk has at least {SMALLEST_DISK_MB} MB")
        base = image.build(suite)
        with locked(self.directory):
            self.directory.chmod(0o700)
            record = Record.load_or_create(self.name)
            for name in names:
                if name not in record.hosts:
                    record.add(name, disk_mb, base)
            record.save()
            self._share_mounts()
            self.network.create()
            self._write_ssh_config(record)
            for host in self.hosts():
                if host.name not in names and host.leader is not None:
                    host.know_hosts()
            self.each(lambda host, cancelled: host.start(cancelled=cancelled), dict.fromkeys(names))

    def each(self, action: Callable[[Host, threading.Event], object], names: Iterable[str]) -> None:
        """Do something to several hosts at once. All are tried; what went wrong is raised as one error.

        An interrupt sets the event, which tells those that wait to stop waiting.
        """
        cancelled = threading.Event()
        hosts = [self.host(name) for name in names]
        with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
            futures = [pool.submit(action, host, cancelled) for host in hosts]
            try:
                concurrent.futures.wait(futures)
            except BaseException:
                cancelled.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        errors = [error for future in futures if (error := future.exception())]
        for error in errors:
            if not isinstance(error, HostsError):
                raise error
        if errors:
            raise HostsError("\n".join(str(error) for error in errors))

    def net(
        self, words: Sequence[str], *, stdin: str = "", check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of this machine in the fleet's network, with the address 10.77.SUBNET.1."""
        done = attempt(self.network.inside(*words), text=stdin, timeout=timeout)
        return checked(done, shlex.join(words)) if check else done

    def down(self) -> None:
        """Take everything away, whatever state it is in. What is not there is no error."""
        with locked(self.directory):
            connect.forget(self.directory)
            record = Record.load(self.name)
            network = Network(self.name, record.subnet if record else 0)
            delay.end_all(network)
            if record and record.hosts:
                self.each(lambda host, _: host.remove(), record.hosts)
            for point in mounts_below(self.directory):
                run("umount", "--lazy", point)
            network.remove()
            for directory in (DISKS / self.name, self.directory):
                shutil.rmtree(directory, ignore_errors=True)
        for parent in (DISKS, STATE):
            with contextlib.suppress(OSError):
                parent.rmdir()

    def _share_mounts(self) -> None:
        """Other hosts see this fleet's mounts when they start; an unmount has to reach them, or they hold the disk."""
        if self.directory not in mounts_below(self.directory):
            run("mount", "--bind", "--make-private", self.directory, self.directory)  # no peer of a shared /run
            run("mount", "--make-shared", self.directory)

    def _record(self) -> Record:
        record = Record.load(self.name)
        if record is None:
            raise Unprepared(f"fleet {self.name} is not up: testhosts --fleet {self.name} up HOST...")
        return record

    def _names(self) -> str:
        record = self._record()
        network = Network(self.name, record.subnet)
        return "".join(f"{network.address(host.number)} {name}\n" for name, host in record.hosts.items())

    def _write_ssh_config(self, record: Record) -> None:
        network = Network(self.name, record.subnet)
        hosts = []
        for name, host in record.hosts.items():
            key = (Path(host.image) / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2]
            hosts.append((name, network.address(host.number), " ".join(key)))
        connect.write_config(self.directory, network.inside(), hosts)
