"""SSH into the hosts: the fleet's key pair, its ssh_config, and its shared connections."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from testhosts.system import HostsError, attempt, run, write

_PROXY = Path(__file__).with_name("proxy.py")


def write_config(directory: Path, enter: list[str], hosts: Iterable[tuple[str, str, str]]) -> None:
    """Key pair, known_hosts and ssh_config of a fleet.

    ``enter`` begins a command line and leads into the fleet's namespace; ``hosts`` are names, addresses, host keys.
    """
    key, known = directory / "id_ed25519", directory / "known_hosts"
    if not key.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "testhosts", "-f", key)
    (directory / "ssh").mkdir(mode=0o700, exist_ok=True)
    proxy = [*enter, sys.executable, "-I", "-S", str(_PROXY.resolve()), "%h", "%p"]
    lines = [
        "Host *",
        "    User root",
        f"    IdentityFile {key}",
        "    IdentitiesOnly yes",
        f"    UserKnownHostsFile {known}",
        "    StrictHostKeyChecking yes",
        f"    ProxyCommand {shlex.join(proxy)}",
        "    ProxyUseFdpass yes",
        "    ControlMaster auto",
        "    ControlPersist 60",
        f"    ControlPath {directory}/ssh/%h-%p-%r",
        "    ConnectTimeout 10",
        "    ServerAliveInterval 5",
        "    ServerAliveCountMax 2",
        "    LogLevel ERROR",
    ]
    entries = []
    for name, address, host_key in hosts:
        lines += [f"Host {name} {address}", f"    HostName {address}"]
        entries.append(f"{name},{address} {host_key}\n")
    write(known, "".join(entries))
    write(config_path(directory), "\n".join(lines) + "\n")


def config_path(directory: Path) -> Path:
    """Where a fleet's ssh_config is."""
    return directory / "ssh_config"


def forget(directory: Path, address: str = "") -> None:
    """End shared connections to one address, or all: a connection to a dead host would hang whoever takes it up."""
    for control in (directory / "ssh").glob(f"{address}-*" if address else "*"):
        command = ["ssh", "-F", str(config_path(directory)), "-o", f"ControlPath={control}", "-O", "exit", "any"]
        with contextlib.suppress(HostsError):  # no longer there, or hangs itself
            attempt(command, timeout=5)
        control.unlink(missing_ok=True)
