#!/usr/bin/python
"""Secrets of the fleet, kept as files on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets
short_description: Make the fleet's secrets on the controller
version_added: 0.1.0
description:
  - Makes one file per NATS user seed and per password in a directory of the controller, if it is missing.
  - What exists is never changed. Only public keys are returned, never a secret.
  - Run it on the controller (C(delegate_to=localhost)) with the Python that runs Ansible; it needs C(cryptography).
options:
  directory:
    description: Where the files are. Made with mode 0700, files with 0600.
    type: path
    required: true
  nkeys:
    description: Names of NATS users; the seed of C(name) is in C(name.nk).
    type: list
    elements: str
    default: []
  passwords:
    description: Names of passwords; the password C(name) is in C(name.password).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Nothing is made; keys that would be made are returned as C((made on the first run)).
    support: full
  diff_mode:
    description: Names of files, no contents.
    support: full
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: One key pair per host
  litefleet.backup.secrets:
    directory: "{{ inventory_dir }}/.secrets"
    nkeys: [app1.agent, app1.provisioner]
    passwords: [route]
  delegate_to: localhost
"""

RETURN = r"""
public_keys:
  description: Public key of each name of O(nkeys).
  returned: always
  type: dict
"""

import secrets as random_source
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.litefleet.backup.plugins.module_utils import _nkeys, _private_files

NOT_YET = "(made on the first run)"


def public_keys(directory: Path, names: list[str]) -> dict[str, str | None]:
    """Public key of each name, None where there is no seed yet."""
    keys: dict[str, str | None] = {}
    for name in names:
        path = directory / f"{name}.nk"
        try:
            keys[name] = _nkeys.public_key(path.read_text())
        except FileNotFoundError:
            keys[name] = None
        except _nkeys.BadSeed as error:
            message = f"{path} is not a usable seed: {error}; restore the file, or remove it to get a new key"
            raise _nkeys.BadSeed(message) from None
    return keys


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Make what is missing; the result for Ansible."""
    directory = Path(params["directory"])
    keys = public_keys(directory, params["nkeys"])
    missing = {f"{name}.nk": _nkeys.new_user_seed for name, key in keys.items() if key is None}
    for name in params["passwords"]:
        if not (directory / f"{name}.password").exists():
            missing[f"{name}.password"] = lambda: random_source.token_urlsafe(32)
    if missing and not check:
        _private_files.make_private_directory(directory)
        for file, make in missing.items():
            _private_files.write_private(directory / file, f"{make()}\n".encode())
        keys = public_keys(directory, params["nkeys"])
    return {
        "changed": bool(missing),
        "public_keys": {name: key or NOT_YET for name, key in keys.items()},
        "diff": {
            "before": "",
            "after": "".join(f"{directory / file}\n" for file in sorted(missing)),
            "before_header": f"{directory} (names only)",
            "after_header": f"{directory} (names only)",
        },
    }


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "nkeys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "passwords": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, check=module.check_mode)
    except _nkeys.BadSeed as error:
        module.fail_json(msg=str(error))
    except ImportError as error:
        module.fail_json(msg=f"{error.name} is missing in the Python that runs Ansible; install `cryptography` there")
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
