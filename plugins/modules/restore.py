#!/usr/bin/python
"""Databases of a host, restored from their buckets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Restore databases of a host with its agent
version_added: 0.1.0
description:
  - Restores each database in turn, and gives it its owner, group and mode. A database that exists is left alone
    unless O(force=true); a restored one appears whole, after an integrity check, or not at all.
  - One that cannot be restored does not keep the others from it; the task fails at the end and names every failure.
  - The agent, and whatever else has a database open, must be stopped.
options:
  databases:
    description: The databases.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: Where., type: path, required: true}
      owner: {description: "Name of the user; left as the agent restored it if not given.", type: str}
      group: {description: "Name of the group; the user's own if not given.", type: str}
      mode: {description: "Octal digits; left as the agent restored it if not given.", type: str}
  force:
    description: Whether to replace databases that exist.
    type: bool
    default: false
  timestamp:
    description: Restore the newest state at this time (RFC 3339) or before.
    type: str
    default: ""
  integrity_check:
    description: How SQLite checks a database before it is put in place.
    type: str
    choices: [quick, full]
    default: quick
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
    description: Nothing is restored; the backup is looked at where the agent is installed.
    support: full
  diff_mode:
    description: The table says it.
    support: none
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Bring the database back
  litefleet.backup.restore:
    databases: [{path: /var/lib/app/app.db, owner: app, group: app}]
"""

RETURN = r"""
rows:
  description: What happened to each database, with database, result, txid, time and bytes.
  returned: always
  type: list
  elements: dict
"""

import grp
import json
import os
import pwd
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def arguments(params: dict[str, Any], path: str, *, check: bool) -> list[str]:
    """The command for one database."""
    command = [params["command"], "restore", path, "--config", params["config"], "--json"]
    command += ["--force"] if params["force"] else ["--if-db-not-exists"]
    if params["timestamp"]:
        command += ["--timestamp", params["timestamp"]]
    return [*command, "--dry-run"] if check else [*command, "--integrity-check", params["integrity_check"]]


def own(database: dict[str, Any]) -> None:
    """Give a restored database its owner, group and mode."""
    uid = gid = -1
    if database["owner"]:
        user = pwd.getpwnam(database["owner"])
        uid, gid = user.pw_uid, user.pw_gid
    if database["group"]:
        gid = grp.getgrnam(database["group"]).gr_gid
    os.chown(database["path"], uid, gid)
    if database["mode"]:
        Path(database["path"]).chmod(int(database["mode"], 8))


def missing_names(databases: list[dict[str, Any]]) -> list[str]:
    """Users and groups that the host does not have; asked before anything is restored."""
    missing = []
    for database in databases:
        for kind, lookup in (("owner", pwd.getpwnam), ("group", grp.getgrnam)):
            try:
                if database[kind]:
                    lookup(database[kind])
            except KeyError:
                missing.append(f"{database['path']}: the {kind} {database[kind]} is not on this host")
    return missing


def restore(module: Any, database: dict[str, Any]) -> dict[str, Any]:
    """Restore one database; its row."""
    row = {"database": database["path"], "result": "", "txid": "", "time": "", "bytes": "", "failed": False}
    command = arguments(module.params, database["path"], check=module.check_mode)
    code, out, err = module.run_command(command)
    if code:
        return {**row, "result": err.strip() or f"exit code {code}", "failed": True}
    answer = json.loads(out)
    if answer.get("restored") is False:
        return {**row, "result": "left alone, it exists"}
    row |= {"txid": answer["txid"], "time": answer.get("created", ""), "bytes": answer["bytes"]}
    if module.check_mode:
        return {**row, "result": "would be restored"}
    own(database)
    return {**row, "result": "restored"}


def main() -> None:
    """The module's entry."""
    database = {
        "path": {"type": "path", "required": True},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "mode": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "databases": {"type": "list", "elements": "dict", "required": True, "options": database},
            "force": {"type": "bool", "default": False},
            "timestamp": {"type": "str", "default": ""},
            "integrity_check": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
            "command": {"type": "path", "default": "/opt/litefleet/current/bin/litefleet"},
            "config": {"type": "path", "default": "/etc/litefleet/litefleet.yml"},
        },
        supports_check_mode=True,
    )
    databases = module.params["databases"]
    ready = all(Path(module.params[name]).exists() for name in ("command", "config"))
    if module.check_mode and not ready:
        rows = [{"database": one["path"], "result": "would be restored, if there is a backup"} for one in databases]
        module.exit_json(changed=bool(rows), rows=rows)
    if missing := missing_names(databases):
        module.fail_json(msg="; ".join([*missing, "install what makes them, then run again"]), rows=[])
    rows = [restore(module, one) for one in databases]
    changed = any(row["result"] in ("restored", "would be restored") for row in rows)
    failures = [f"{row['database']}: {row['result']}" for row in rows if row["failed"]]
    if failures:
        module.fail_json(msg="\n".join(failures), changed=changed, rows=rows)
    module.exit_json(changed=changed, rows=rows)


if __name__ == "__main__":
    main()
