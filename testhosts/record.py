"""What a fleet remembers between commands: its subnet and its hosts."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from testhosts.network import number_for
from testhosts.system import STATE, HostsError, Unprepared, locked, write


@dataclasses.dataclass(frozen=True)
class HostRecord:
    """One host: its number in the subnet, its disk's size in MB, the directory of its base image."""

    number: int
    disk_mb: int
    image: str


@dataclasses.dataclass
class Record:
    """A fleet's record, kept in its state directory from the first ``up`` to ``down``."""

    fleet: str
    subnet: int
    hosts: dict[str, HostRecord]

    @classmethod
    def load(cls, fleet: str) -> Record | None:
        """The record of a fleet, or None where there is no such fleet."""
        try:
            stored = json.loads(_path(fleet).read_text())
        except FileNotFoundError:
            return None
        hosts = {name: HostRecord(**host) for name, host in stored["hosts"].items()}
        return cls(fleet, stored["subnet"], hosts)

    @classmethod
    def load_or_create(cls, fleet: str) -> Record:
        """The record of a fleet; a new one takes a subnet no other fleet has."""
        with locked(STATE):
            if record := cls.load(fleet):
                return record
            taken = {other.subnet for name in fleets() if (other := cls.load(name))}
            free = next((number for number in range(256) if number not in taken), None)
            if free is None:
                raise HostsError("all 256 subnets are taken by other fleets; take one of them down")
            record = cls(fleet, free, {})
            record.save()
            return record

    def add(self, name: str, disk_mb: int, image: Path) -> None:
        """A new host with the lowest free number."""
        number = number_for({host.number for host in self.hosts.values()})
        self.hosts[name] = HostRecord(number, disk_mb, str(image))

    def save(self) -> None:
        """Write the record in one step."""
        hosts = {name: dataclasses.asdict(host) for name, host in self.hosts.items()}
        write(_path(self.fleet), json.dumps({"subnet": self.subnet, "hosts": hosts}, indent=2) + "\n")


def fleets() -> list[str]:
    """Names of the fleets that have a record."""
    return sorted(path.parent.name for path in STATE.glob("*/fleet.json"))


def checked_name(kind: str, name: str) -> str:
    """A name that can be a host name and part of a namespace's, or :class:`Unprepared`."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?", name):
        raise Unprepared(f"{kind} {name!r}: up to 24 lower-case letters, digits and inner hyphens")
    return name


def _path(fleet: str) -> Path:
    return STATE / fleet / "fleet.json"
