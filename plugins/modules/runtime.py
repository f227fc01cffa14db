#!/usr/bin/python
"""A release of the agent, installed from an archive of wheels without any package index."""

from __future__ import annotations

DOCUMENTATION = r"""
module: runtime
short_description: Install a release of the agent
version_added: 0.1.0
description:
  - Installs the wheels of an archive of M(litefleet.backup.wheelhouse) into a virtual environment of its own below
    O(root), proves that the agent can be imported, and then points C(current) and O(command) at it. The release that
    was in use before is kept, older ones are removed.
  - The virtual environment is made without C(ensurepip); C(python3-venv) is not needed.
options:
  release:
    description: Name of the release.
    type: str
    required: true
  archive:
    description: The archive, on this host. Removed after it was used.
    type: path
    required: true
  python:
    description: The Python that the agent is to run with.
    type: path
    default: /usr/bin/python3
  root:
    description: Where releases are installed.
    type: path
    default: /opt/litefleet
  command:
    description: The link by which people call the agent.
    type: path
    default: /usr/local/bin/litefleet
attributes:
  check_mode:
    description: Nothing is installed.
    support: full
  diff_mode:
    description: The release before and after.
    support: full
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Install the agent
  litefleet.backup.runtime:
    release: 0.1.0-0123456789
    archive: /var/tmp/litefleet.tar
"""

RETURN = r"""#"""

import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

MARKER = ".complete"


def install(module: Any, params: dict[str, Any], target: Path) -> None:
    """Make the virtual environment; the marker comes last."""
    shutil.rmtree(target, ignore_errors=True)  # what an interrupted run left
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpack-") as scratch:
        with tarfile.open(params["archive"]) as tar:
            tar.extractall(scratch)  # noqa: S202 - made by wheelhouse; older Pythons 3.11 have no filters
        wheels = sorted(Path(scratch, "wheels").glob("*.whl"))
        pip = [wheel for wheel in wheels if wheel.name.startswith("pip-")]
        if not pip:
            module.fail_json(msg=f"{params['archive']} holds no pip; it was not made by litefleet.backup.wheelhouse")
        module.run_command([params["python"], "-m", "venv", "--without-pip", str(target)], check_rc=True)
        python = str(target / "bin" / "python")
        options = ["--isolated", "--no-index", "--no-deps", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        packages = [str(wheel) for wheel in wheels if wheel not in pip]
        module.run_command([python, str(pip[0] / "pip"), "install", *options, *packages], check_rc=True)
        module.run_command([python, "-c", "import litefleet, nats, apsw, lz4.block, yaml"], check_rc=True)
    with (target / MARKER).open("w", encoding="ascii") as file:
        os.fsync(file.fileno())


def link(path: Path, target: str) -> None:
    """Point a link somewhere else, at no moment leaving it out."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


def prune(root: Path, keep: set[str]) -> None:
    """Remove releases that are neither in use nor the one before."""
    for entry in root.iterdir():
        if entry.is_dir() and not entry.is_symlink() and entry.name not in keep:
            shutil.rmtree(entry, ignore_errors=True)


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str", "required": True},
            "archive": {"type": "path", "required": True},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "root": {"type": "path", "default": "/opt/litefleet"},
            "command": {"type": "path", "default": "/usr/local/bin/litefleet"},
        },
        supports_check_mode=True,
    )
    params = module.params
    root, archive = Path(params["root"]), Path(params["archive"])
    current = root / "current"
    before = str(current.readlink()) if current.is_symlink() else ""
    target = root / params["release"]
    complete = (target / MARKER).exists()
    changed = not complete or before != params["release"]
    if changed and not module.check_mode:
        try:
            if not complete:
                install(module, params, target)
            link(current, params["release"])
            link(Path(params["command"]), str(current / "bin" / "litefleet"))
            prune(root, {params["release"], before})
            archive.unlink(missing_ok=True)
        except (OSError, tarfile.TarError) as error:
            module.fail_json(msg=f"The release {params['release']} cannot be installed: {error}")
    module.exit_json(
        changed=changed,
        diff={"before": f"{before or 'no release'}\n", "after": f"{params['release']}\n"},
    )


if __name__ == "__main__":
    main()
