#!/usr/bin/python
"""A systemd unit that runs with what is on the disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service
short_description: A systemd unit is enabled, running, and started after its files changed
version_added: 0.1.0
description:
  - Reloads systemd's own configuration when it must, enables and starts the unit, restarts it if one of
    O(restart_for) changed after it became active, else reloads it if one of O(reload_for) changed after it was started
    or reloaded. Because this looks at the state and not at what an earlier task reported, a run that was interrupted
    between a change and its restart is made good by the next one.
  - In check mode a unit that is not installed yet would be started; C(ansible.builtin.systemd_service) fails there.
options:
  name:
    description: The unit.
    type: str
    required: true
  state:
    description: C(started) also restarts for O(restart_for), and reloads for O(reload_for).
    type: str
    choices: [started, stopped]
    default: started
  restart_for:
    description: Paths of files that the service reads only when it starts.
    type: list
    elements: path
    default: []
  reload_for:
    description: Paths of files that the service reads again when it is reloaded.
    type: list
    elements: path
    default: []
  changing:
    description:
      - Paths that an earlier task of this run changed or would change. In check mode they count as changed, so that the
        restart or reload that follows is announced; in a real run the files themselves say it.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Nothing is done.
    support: full
  diff_mode:
    description: State before and after.
    support: full
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Start the agent
  litefleet.backup.service:
    name: litefleet.service
    restart_for: [/etc/litefleet/agent.nk]
    reload_for: [/etc/litefleet/litefleet.yml]
"""

RETURN = r"""
actions:
  description: What was done, or would be, in order.
  returned: always
  type: list
  elements: str
reasons:
  description: Paths that made a restart or a reload necessary.
  returned: always
  type: list
  elements: str
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.litefleet.backup.plugins.module_utils import _systemd


def plan(
    properties: dict[str, str], state: str, restart_for: list[str], reload_for: list[str]
) -> tuple[list[str], list[str]]:
    """The systemctl verbs that are needed, and the paths that make a restart or a reload necessary."""
    since = _systemd.active_since(properties)
    running = since is not None or properties.get("ActiveState") == "activating"
    if state == "stopped":
        return (["stop"] if running else []), []
    verbs = []
    if properties.get("NeedDaemonReload") == "yes":
        verbs.append("daemon-reload")
    if properties.get("UnitFileState") not in ("enabled", "static"):
        verbs.append("enable")
    if since is None:
        # A unit that is still starting, or failing again and again, may do so with what was there before.
        return [*verbs, "restart" if running else "start"], []
    if reasons := _systemd.newer_than(restart_for, since):
        return [*verbs, "restart"], reasons
    if reasons := _systemd.newer_than(reload_for, _systemd.reloaded_at(properties) or since):
        return [*verbs, "reload"], reasons
    return verbs, []


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "restart_for": {"type": "list", "elements": "path", "default": []},
            "reload_for": {"type": "list", "elements": "path", "default": []},
            "changing": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    unit = _systemd.Unit(module, module.params["name"])
    before = unit.show()
    if before.get("LoadState") == "not-found" and not module.check_mode and module.params["state"] == "started":
        unit.run("daemon-reload")  # the unit's file may have come after systemd last looked
        before = unit.show()
        if before.get("LoadState") == "not-found":
            module.fail_json(msg=f"There is no unit {unit.name} on this host; run the role that installs it")
    verbs, reasons = plan(before, *(module.params[name] for name in ("state", "restart_for", "reload_for")))
    for verb, name in (("restart", "restart_for"), ("reload", "reload_for")):
        announced = [path for path in module.params[name] if path in module.params["changing"]]
        if module.check_mode and announced and not verbs:
            verbs, reasons = [verb], announced
    after = before.get("ActiveState", "inactive")
    if not module.check_mode:
        for verb in verbs:
            unit.run(verb)
        after = unit.show().get("ActiveState", "")
        if module.params["state"] == "started" and after not in ("active", "reloading"):
            unit.fail(f"{unit.name} is {after} after `systemctl {verbs[-1] if verbs else 'show'}`")
    module.exit_json(
        changed=bool(verbs),
        actions=verbs,
        reasons=reasons,
        diff={
            "before": f"{unit.name}: {before.get('ActiveState', 'inactive')}\n",
            "after": f"{unit.name}: {', '.join(verbs)}{' for ' + ', '.join(reasons) if reasons else ''}\n",
        }
        if verbs
        else {"before": "", "after": ""},
    )


if __name__ == "__main__":
    main()
