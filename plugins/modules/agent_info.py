#!/usr/bin/python
"""How a host's agent and its databases are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_info
short_description: How a host's agent and databases are
version_added: 0.1.0
description:
  - Asks systemd for the unit, and the agent for every database. Nothing of what is wrong is an error of the task.
options:
  unit:
    description: The agent's unit.
    type: str
    default: litefleet.service
  command:
    description: The agent.
    type: path
    default: /opt/litefleet/current/bin/litefleet
  config:
    description: The agent's configuration.
    type: path
    default: /etc/litefleet/litefleet.yml
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
- name: Look at the agent
  litefleet.backup.agent_info:
  register: agent
"""

RETURN = r"""
unit:
  description: State of the unit, C(active) if it is well.
  returned: always
  type: str
databases:
  description: The agent's own rows, one per database.
  returned: always
  type: list
  elements: dict
problem:
  description: Why there are no rows, empty if there are.
  returned: always
  type: str
"""

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.litefleet.backup.plugins.module_utils import _systemd


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "default": "litefleet.service"},
            "command": {"type": "path", "default": "/opt/litefleet/current/bin/litefleet"},
            "config": {"type": "path", "default": "/etc/litefleet/litefleet.yml"},
        },
        supports_check_mode=True,
    )
    params = module.params
    state = _systemd.Unit(module, params["unit"]).show()
    unit = "not installed" if state.get("LoadState") == "not-found" else state.get("ActiveState", "")
    for path in (params["command"], params["config"]):
        if not Path(path).exists():
            module.exit_json(changed=False, unit=unit, databases=[], problem=f"{path} is missing; run site.yml")
    code, out, err = module.run_command([params["command"], "status", "--config", params["config"], "--json"])
    try:
        databases, problem = json.loads(out), ""
    except ValueError:
        databases, problem = [], err.strip() or f"`litefleet status` ended with exit code {code}"
    module.exit_json(changed=False, unit=unit, databases=databases, problem=problem)


if __name__ == "__main__":
    main()
