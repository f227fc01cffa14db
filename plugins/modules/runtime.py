#!/usr/bin/python
"""A release of the agent, installed from an archive of wheels without any package index."""

from __future__ import annotations

DOCUMENTATION = r"""
module: runtime
short_description: Install a release of the agent
version_added: 0.1.0
description:
  - Installs the wheels of an archive of M(litefleet.backup.wheelhouse) into a virtual environment of its own below O(root),
    proves that the agent can be imported, and then points C(current) and O(command) at it. The release that was in use
    before is kept, older ones are removed.
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

import glob
import os
import shutil
import tarfile
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

MARKER = ".complete"


def install(module: Any, params: dict[str, Any], target: str) -> None:
    """Make the virtual environment; the marker comes last."""
    shutil.rmtree(target, ignore_errors=True)  # what an interrupted run left
    os.makedirs(params["root"], exist_ok=True)
    with tempfile.TemporaryDirectory(dir=params["root"], prefix=".unpack-") as scratch:
        with tarfile.open(params["archive"]) as tar:
            tar.extractall(scratch)
        wheels = sorted(glob.glob(os.path.join(scratch, "wheels", "*.whl")))
        pip = [wheel for wheel in wheels if os.path.basename(wheel).startswith("pip-")]
        if not pip:
            module.fail_json(msg=f"{params['archive']} holds no pip; it was not made by litefleet.backup.wheelhouse")
        module.run_command([params["python"], "-m", "venv", "--without-pip", target], check_rc=True)
        python = os.path.join(target, "bin", "python")
        options = ["--isolated", "--no-index", "--no-deps", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        packages = [wheel for wheel in wheels if wheel not in pip]
        module.run_command([python, os.path.join(pip[0], "pip"), "install", *options, *packages], check_rc=True)
        module.run_command([python, "-c", "import litefleet, nats, apsw, lz4.block, yaml"], check_rc=True)
    with open(os.path.join(target, MARKER), "w", encoding="ascii") as file:
        os.fsync(file.fileno())


def link(path: str, target: str) -> None:
    """Point a link somewhere else, at no moment leaving it out."""
    temporary = f"{path}.new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, path)


def prune(root: str, keep: set[str]) -> None:
    """Remove releases that are neither in use nor the one before."""
    for entry in os.scandir(root):
        if entry.is_dir(follow_symlinks=False) and entry.name not in keep:
            shutil.rmtree(entry.path, ignore_errors=True)


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
    current = os.path.join(params["root"], "current")
    before = os.readlink(current) if os.path.islink(current) else ""
    target = os.path.join(params["root"], params["release"])
    complete = os.path.exists(os.path.join(target, MARKER))
    changed = not complete or before != params["release"]
    if changed and not module.check_mode:
        try:
            if not complete:
                install(module, params, target)
            link(current, params["release"])
            link(params["command"], os.path.join(current, "bin", "litefleet"))
            prune(params["root"], {params["release"], before})
            if os.path.exists(params["archive"]):
                os.unlink(params["archive"])
        except (OSError, tarfile.TarError) as error:
            module.fail_json(msg=f"The release {params['release']} cannot be installed: {error}")
    module.exit_json(
        changed=changed,
        diff={"before": f"{before or 'no release'}\n", "after": f"{params['release']}\n"},
    )


if __name__ == "__main__":
    main()
