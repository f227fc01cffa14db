"""Databases that Debian packages ship. They are unpacked into the cache; nothing is installed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from demo.errors import DemoError, Unfit
from demo.places import DEBS

_MAGIC = b"SQLite format 3\0"
_LONGEST_SECONDS = 300.0


@dataclass(frozen=True)
class Shipped:
    """A database of a Debian package, and where in the package it is."""

    package: str
    inside: str
    what: str

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.inside).name

    @property
    def path(self) -> Path:
        """Where it is unpacked."""
        return DEBS / self.package / self.inside


PROJ = Shipped("proj-data", "usr/share/proj/proj.db", "coordinate systems of the world")
ENGLISH = Shipped("ibus-libpinyin", "usr/share/ibus-libpinyin/db/english.db", "English words of an input method")
EMOJI = Shipped("ibus-table-emoji", "usr/share/ibus-table/tables/emoji-table.db", "emoji by their names")


def fetch(wanted: Iterable[Shipped], tell: Callable[[str], None]) -> None:
    """Have the databases in the cache. ``tell`` is told about anything beyond a plain download."""
    missing = [shipped for shipped in wanted if not _is_database(shipped.path)]
    if not missing:
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unfit("the demo takes its databases from Debian packages, but apt-get or dpkg-deb is missing")
    DEBS.mkdir(parents=True, exist_ok=True)
    packages = sorted({shipped.package for shipped in missing})
    with tempfile.TemporaryDirectory(dir=DEBS, prefix=".new-") as directory:
        new = Path(directory)
        _download(packages, new, tell)
        for package in packages:
            _unpack(package, new)
    for shipped in missing:
        if not _is_database(shipped.path):
            raise DemoError(f"the package {shipped.package} holds no SQLite database {shipped.inside}")


def _download(packages: list[str], directory: Path, tell: Callable[[str], None]) -> None:
    # As the caller: the user _apt may not write into the checkout.
    download = ["apt-get", "--quiet=2", "-o", "APT::Sandbox::User=root", "download", *packages]
    if _run(download, directory).returncode:
        tell(f"The package index is missing or old ({' '.join(packages)} not to be had): apt-get update")
        _check(["apt-get", "--quiet=2", "update"], directory)
        _check(download, directory)


def _unpack(package: str, directory: Path) -> None:
    [deb] = directory.glob(f"{package}_*.deb")
    files, target = directory / package, DEBS / package
    _check(["dpkg-deb", "--extract", str(deb), str(files)], directory)
    if target.exists():
        shutil.rmtree(target)
    files.rename(target)


def _check(command: list[str], directory: Path) -> None:
    done = _run(command, directory)
    if done.returncode:
        raise DemoError(f"{shlex.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")


def _run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise DemoError(f"no end within {_LONGEST_SECONDS:.0f} s: {shlex.join(command)}") from None


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except FileNotFoundError:
        return False
