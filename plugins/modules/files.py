#!/usr/bin/python
"""The directories and small files of one service, in one step."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Directories and small files of a service, in one step
version_added: 0.1.0
description:
  - Makes directories and files with owner, group and mode. All contents are validated before the first one is put in
    place, and each is put in place by a rename.
  - One task instead of one per file, and check mode works on a host where the directories are not there yet,
    where C(ansible.builtin.copy) fails.
options:
  directories:
    description: Directories, in the order in which they are made.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Where., type: path, required: true}
      owner: {description: Name of the user., type: str, default: root}
      group: {description: Name of the group., type: str, default: root}
      mode: {description: Octal digits., type: str, default: "0755"}
      keep:
        description:
          - Leave a directory that exists as it is. One that is made belongs to root if O(directories[].owner) or
            O(directories[].group) is not on the host yet.
        type: bool
        default: false
  files:
    description: Files.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Where., type: path, required: true}
      content: {description: What., type: str}
      secret: {description: "What, if it must not show in logs and diffs.", type: str}
      owner: {description: Name of the user., type: str, default: root}
      group: {description: Name of the group., type: str, default: root}
      mode: {description: Octal digits., type: str, default: "0644"}
      validate: {description: "A command that must succeed; C(%s) is the new file.", type: str}
  hide:
    description: Texts inside of contents that must not show in logs and diffs.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Nothing is changed, and nothing is validated.
    support: full
  diff_mode:
    description: Contents that are not secret, and owner, group and mode.
    support: full
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Configure the agent
  litefleet.backup.files:
    directories: [{path: /etc/litefleet}]
    files:
      - path: /etc/litefleet/litefleet.yml
        content: "{{ config | to_nice_yaml }}"
        mode: "0640"
"""

RETURN = r"""
paths:
  description: Paths that were changed, or would be.
  returned: always
  type: list
  elements: str
"""

import grp
import os
import pwd
import shlex
import stat
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def describe(path: str) -> str:
    """Owner, group and mode of a path, for diffs; empty if there is nothing."""
    try:
        state = os.lstat(path)
    except FileNotFoundError:
        return ""
    try:
        owner = pwd.getpwuid(state.st_uid).pw_name
    except KeyError:
        owner = str(state.st_uid)
    try:
        group = grp.getgrgid(state.st_gid).gr_name
    except KeyError:
        group = str(state.st_gid)
    return f"{owner}:{group} {stat.S_IMODE(state.st_mode):04o}"


def wanted(item: dict[str, Any]) -> str:
    """The same description of what an entry asks for."""
    return f"{item['owner']}:{item['group']} {int(item['mode'], 8):04o}"


def differs(item: dict[str, Any]) -> bool:
    """Whether a directory is not what its entry asks for."""
    state = describe(item["path"])
    return not state if item["keep"] else state != wanted(item)


def read(path: str) -> str | None:
    """The present content; None if there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def own(path: str, item: dict[str, Any]) -> None:
    """Give a path its owner, group and mode."""
    os.chown(path, pwd.getpwnam(item["owner"]).pw_uid, grp.getgrnam(item["group"]).gr_gid)
    Path(path).chmod(int(item["mode"], 8))


def stage(item: dict[str, Any], text: str) -> str:
    """The new content in a file beside its place, with owner and mode already right; its path."""
    handle, temporary = tempfile.mkstemp(dir=Path(item["path"]).parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        own(temporary, item)
    except BaseException:
        Path(temporary).unlink()
        raise
    return temporary


class Plan:
    """What differs, and the diff of it."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.directories = [item for item in params["directories"] if differs(item)]
        self.contents: list[tuple[dict[str, Any], str]] = []
        self.attributes: list[dict[str, Any]] = []
        self.diff: list[dict[str, str]] = []
        for item in self.directories:
            self._show(item, "", "")
        for item in params["files"]:
            text = item["content"] if item["secret"] is None else item["secret"]
            before = read(item["path"])
            if before != text:
                self.contents.append((item, text))
                hidden = item["secret"] is not None
                self._show(item, "" if hidden else before or "", "(secret)\n" if hidden else text)
            elif describe(item["path"]) != wanted(item):
                self.attributes.append(item)
                self._show(item, "", "")

    def _show(self, item: dict[str, Any], before: str, after: str) -> None:
        old, new = describe(item["path"]), wanted(item)
        self.diff.append(
            {
                "before_header": f"{item['path']} {old or '(absent)'}",
                "after_header": f"{item['path']} {new}",
                "before": before + (f"{old}\n" if not after and old else ""),
                "after": after or f"{new}\n",
            }
        )

    @property
    def paths(self) -> list[str]:
        """Everything that differs."""
        items = [*self.directories, *(item for item, _ in self.contents), *self.attributes]
        return [item["path"] for item in items]


def apply(module: Any, plan: Plan) -> None:
    """Make it so."""
    for item in plan.directories:
        Path(item["path"]).mkdir(parents=True, exist_ok=True)
        try:
            own(item["path"], item)
        except KeyError:
            if not item["keep"]:
                raise
    staged: list[tuple[str, str]] = []
    try:
        for item, text in plan.contents:
            temporary = stage(item, text)
            staged.append((temporary, item["path"]))
            if item["validate"]:
                command = [part.replace("%s", temporary) for part in shlex.split(item["validate"])]
                code, out, err = module.run_command(command)
                if code:
                    reason = (err + out).replace(temporary, item["path"]).strip()
                    module.fail_json(msg=f"The new {item['path']} is refused, nothing was changed: {reason}")
        for temporary, path in staged:
            Path(temporary).replace(path)
    finally:
        for temporary, _ in staged:
            Path(temporary).unlink(missing_ok=True)
    for item in plan.attributes:
        own(item["path"], item)


def main() -> None:
    """The module's entry."""
    common = {
        "path": {"type": "path", "required": True},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
    }
    file = {
        **common,
        "mode": {"type": "str", "default": "0644"},
        "content": {"type": "str"},
        "secret": {"type": "str", "no_log": True},
        "validate": {"type": "str"},
    }
    directory = {
        **common,
        "mode": {"type": "str", "default": "0755"},
        "keep": {"type": "bool", "default": False},
    }
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "dict", "default": [], "options": directory},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": file,
                "mutually_exclusive": [("content", "secret")],
                "required_one_of": [("content", "secret")],
            },
            # AnsibleModule blanks these out of everything that it returns.
            "hide": {"type": "list", "elements": "str", "default": [], "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        plan = Plan(module.params)
        if not module.check_mode:
            apply(module, plan)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    except KeyError as error:
        module.fail_json(msg=f"{error.args[0]}; make the user or group before its files")
    module.exit_json(changed=bool(plan.paths), paths=plan.paths, diff=plan.diff)


if __name__ == "__main__":
    main()
