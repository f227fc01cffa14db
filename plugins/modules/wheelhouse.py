#!/usr/bin/python
"""The agent and its locked dependencies as one archive per kind of host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wheelhouse
short_description: Pack the agent and its locked dependencies on the controller
version_added: 0.1.0
description:
  - Builds the agent's wheel from its sources, downloads the wheels that C(requirements/agent.txt) locks by hash, and
    packs both, and pip, into one archive per Python version and machine. Hosts need no package index.
  - The archive's name holds a hash of everything it is made from; what was packed once is not packed again.
  - Run it on the controller (C(delegate_to=localhost)) with the Python that runs Ansible; it needs C(pip) and
    C(hatchling).
options:
  project:
    description: Directory of this collection or checkout, with C(pyproject.toml), C(requirements) and C(agent).
    type: path
    required: true
  cache:
    description: Directory of the archives.
    type: path
    required: true
  targets:
    description: Kinds of hosts.
    type: list
    elements: dict
    required: true
    suboptions:
      python: {description: "Version of the host's Python, for example 3.11.", type: str, required: true}
      machine: {description: "Machine of the host, for example x86_64.", type: str, required: true}
attributes:
  check_mode:
    description: The cache is filled in check mode, too; it is no part of the fleet, and the next tasks need it.
    support: full
  diff_mode:
    description: No diff.
    support: none
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Pack the agent
  litefleet.backup.wheelhouse:
    project: "{{ role_path }}/../.."
    cache: ~/.cache/litefleet
    targets: [{python: "3.11", machine: x86_64}]
  delegate_to: localhost
"""

RETURN = r"""
release:
  description: Name of the release, the agent's version and a hash of its sources and locked requirements.
  returned: always
  type: str
archives:
  description: Path of the archive by C(python-machine).
  returned: always
  type: dict
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

#: What the agent's wheel is built from.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "agent")
#: C libraries of the hosts: glibc 2.17 and up, as far as Debian 12's 2.36.
_GLIBC = range(17, 37)


class Failed(Exception):
    """The archive cannot be made; the message says why."""


def source_files(project: Path) -> list[Path]:
    """Every file that the archive depends on, sorted."""
    files = [project / "requirements" / name for name in ("agent.txt", "build.txt")]
    for name in SOURCES:
        path = project / name
        if not path.exists():
            raise Failed(f"{path} is missing; run from a complete checkout or collection")
        files += [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sorted(file for file in files if "__pycache__" not in file.parts)


def release_name(project: Path) -> str:
    """The version and a hash of all sources."""
    digest = hashlib.sha256()
    for file in source_files(project):
        digest.update(f"{file.relative_to(project)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    version = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    return f"{version}-{digest.hexdigest()[:10]}"


def locked(text: str, package: str) -> str:
    """The lines of a locked requirements file that pin one package."""
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith(f"{package}==")), None)
    if start is None:
        raise Failed(f"{package} is not pinned in requirements/build.txt")
    end = start + 1
    while end < len(lines) and lines[end].startswith("    --hash"):
        end += 1
    return "\n".join(lines[start:end]) + "\n"


def platforms(machine: str) -> list[str]:
    """The platform tags whose wheels run on the machine."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in reversed(_GLIBC)]
    return [*tags, f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]


def pip(*arguments: str) -> None:
    """Run pip; its last lines are the message if it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        text = "\n".join((done.stderr + done.stdout).strip().splitlines()[-12:])
        raise Failed(f"`pip {arguments[0]}` failed on the controller: {text}")


def build_wheel(project: Path, scratch: Path, wheels: Path) -> None:
    """Build the agent's wheel from a copy, so that nothing is left in the project."""
    copy = scratch / "source"
    copy.mkdir()
    for name in SOURCES:
        path = project / name
        if path.is_dir():
            shutil.copytree(path, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(path, copy / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(copy))


def download(project: Path, scratch: Path, wheels: Path, target: dict[str, str]) -> None:
    """Fetch the locked wheels for a kind of host."""
    only_pip = scratch / "pip.txt"
    only_pip.write_text(locked((project / "requirements/build.txt").read_text(), "pip"))
    files = [str(project / "requirements/agent.txt"), str(only_pip)]
    pip(
        "download",
        "--require-hashes",
        "--prefer-binary",
        "--no-deps",
        f"--python-version={target['python']}",
        "--implementation=cp",
        *(f"--platform={platform}" for platform in platforms(target["machine"])),
        f"--dest={wheels}",
        *(f"--requirement={file}" for file in files),
    )


def build_missing(wheels: Path) -> None:
    """Turn source archives, of packages that publish no wheel, into wheels; only pure Python ones fit any host."""
    for source in [file for file in wheels.iterdir() if file.suffix != ".whl"]:
        built = wheels / f".{source.name}"
        pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={built}", str(source))
        for wheel in built.iterdir():
            if not wheel.name.endswith("-none-any.whl"):
                raise Failed(f"{source.name} has no wheel for the hosts, and what is built here does not fit them")
            wheel.rename(wheels / wheel.name)
        built.rmdir()
        source.unlink()


def pack(project: Path, archive: Path, target: dict[str, str]) -> None:
    """Make one archive."""
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".pack-") as directory:
        scratch = Path(directory)
        wheels = scratch / "wheels"
        wheels.mkdir()
        build_wheel(project, scratch, wheels)
        download(project, scratch, wheels, target)
        build_missing(wheels)
        with tarfile.open(scratch / "archive.tar", "w") as tar:
            tar.add(wheels, "wheels")
        (scratch / "archive.tar").replace(archive)


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """One run at a time packs."""
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Pack what is missing; the result for Ansible."""
    project, cache = Path(params["project"]).resolve(), Path(params["cache"])
    release = release_name(project)
    cache.mkdir(parents=True, exist_ok=True)
    archives, changed = {}, False
    with alone(cache):
        for target in params["targets"]:
            kind = f"{target['python']}-{target['machine']}"
            archive = cache / f"litefleet-{release}-py{kind}.tar"
            if not archive.exists():
                pack(project, archive, target)
                changed = True
            archives[kind] = str(archive)
    return {"changed": changed, "release": release, "archives": archives}


def main() -> None:
    """The module's entry."""
    target = {"python": {"type": "str", "required": True}, "machine": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "path", "required": True},
            "cache": {"type": "path", "required": True},
            "targets": {"type": "list", "elements": "dict", "required": True, "options": target},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module.params))
    except Failed as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
