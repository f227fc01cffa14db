#!/usr/bin/python
"""What a host can run, and which releases of the agent it has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: runtime_info
short_description: The host's Python and the installed releases of the agent
version_added: 0.1.0
description:
  - Only reads.
options:
  python:
    description: The Python that the agent is to run with.
    type: path
    default: /usr/bin/python3
  root:
    description: Where releases are installed.
    type: path
    default: /opt/litefleet
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Look at the host
  litefleet.backup.runtime_info:
  register: host
"""

RETURN = r"""
target:
  description: The kind of host, C(python) (for example 3.11) and C(machine) (for example x86_64).
  returned: always
  type: dict
current:
  description: The release in use; empty if there is none.
  returned: always
  type: str
"""

import json
import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

MARKER = ".complete"
_ASK = "import json, platform, sys; print(json.dumps(['%d.%d' % sys.version_info[:2], platform.machine()]))"


def current_release(root: str) -> str:
    """The complete release that ``current`` points to."""
    current = Path(root, "current")
    return current.readlink().name if current.is_symlink() and (current / MARKER).exists() else ""


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "root": {"type": "path", "default": "/opt/litefleet"},
        },
        supports_check_mode=True,
    )
    python = module.params["python"]
    if not os.access(python, os.X_OK):
        module.fail_json(msg=f"{python} is missing; install Python 3.11 or newer, or set litefleet_runtime_python")
    _, out, _ = module.run_command([python, "-c", _ASK], check_rc=True)
    version, machine = json.loads(out)
    if tuple(map(int, version.split("."))) < (3, 11):
        module.fail_json(msg=f"{python} is Python {version}; 3.11 is needed, set litefleet_runtime_python")
    target = {"python": version, "machine": machine}
    module.exit_json(changed=False, target=target, current=current_release(module.params["root"]))


if __name__ == "__main__":
    main()
