"""The application on the hosts: install it over SSH, start it, look into its databases."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from demo.places import APPLICATION, DATA, OWNER
from testhosts import Fleet

_PROGRAM = "opt/ledger/writer.py"
_UNIT = "etc/systemd/system/ledger.service"


def ssh(fleet: Fleet, host: str, command: str, *, stdin: bytes = b"", check: bool = True, timeout: float = 60) -> str:
    """Run a shell command on a host. Raises DemoError unless it ends well (or ``check`` is off)."""
    words = ["ssh", "-F", str(fleet.ssh_config), host, "--", command]
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise DemoError(f"{host}: no end within {timeout:.0f} s: {command}") from None
    if check and done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise DemoError(f"{host}: {command} ended with {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


def install(fleet: Fleet, host: str, databases: Mapping[str, Path]) -> None:
    """The application's user, program and unit, and databases (path on the host: file here). Nothing is started."""
    user = f"id {OWNER} >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin {OWNER}"
    command = f"{user} && tar --extract --directory=/ && systemctl daemon-reload"
    ssh(fleet, host, command, stdin=_archive(databases))


def start(fleet: Fleet, host: str) -> None:
    """Let the ledger be written to."""
    ssh(fleet, host, "systemctl start ledger.service")


def examine(fleet: Fleet, host: str, path: str, entry: int | None = None) -> dict[str, Any]:
    """What :mod:`demo.application.examine` finds out about a database of the host, run there as the application."""
    arguments = [path] if entry is None else [path, str(entry)]
    command = shlex.join(["runuser", "-u", OWNER, "--", "python3", "-", *arguments])
    program = (APPLICATION / "examine.py").read_bytes()
    found: dict[str, Any] = json.loads(ssh(fleet, host, command, stdin=program, timeout=120))
    return found


def lag(fleet: Fleet, host: str) -> list[dict[str, Any]]:
    """``litefleet status`` of a host. Its exit code is 1 while anything is being sent."""
    command = "litefleet status --config /etc/litefleet/litefleet.yml --json"
    text = ssh(fleet, host, f"{command} || [ $? = 1 ]")
    rows: list[dict[str, Any]] = json.loads(text)
    return rows


def _archive(databases: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _add_directory(tar, str(Path(_PROGRAM).parent), "root")
        _add_directory(tar, DATA.lstrip("/"), OWNER)
        _add_file(tar, _PROGRAM, (APPLICATION / "writer.py").read_bytes(), "root")
        _add_file(tar, _UNIT, (APPLICATION / "ledger.service").read_bytes(), "root")
        for path, source in databases.items():
            _add_file(tar, path.lstrip("/"), source.read_bytes(), OWNER)
    return buffer.getvalue()


def _add_directory(tar: tarfile.TarFile, name: str, owner: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uname, entry.gname = tarfile.DIRTYPE, 0o755, owner, owner
    tar.addfile(entry)


def _add_file(tar: tarfile.TarFile, name: str, content: bytes, owner: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.uname, entry.gname = len(content), 0o644, owner, owner
    tar.addfile(entry, io.BytesIO(content))
