#!/usr/bin/python
"""Host certificates on the controller: issued by a lab authority, or given and only verified."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: Make or verify the fleet's host certificates on the controller
version_added: 0.1.0
description:
  - Keeps C(ca.crt), C(ca.key) and one C(<name>.crt), C(<name>.key) per host in a directory of the controller.
  - A host certificate is made anew when it is missing, does not match its key, is not of this authority, ends within
    O(renew_days), or does not name all of the host's O(hosts[].names).
  - With O(issue=false) nothing is made; every file must be there and fit, or the task fails and says which does not.
  - Run it on the controller (C(delegate_to=localhost)) with the Python that runs Ansible; it needs C(cryptography).
options:
  directory:
    description: Where the files are. Made with mode 0700, keys with 0600.
    type: path
    required: true
  hosts:
    description: The hosts that need a certificate.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the files, and the subject.
        type: str
        required: true
      names:
        description: DNS names and addresses by which the host is reached.
        type: list
        elements: str
        required: true
      address:
        description: The name or address that clients use, if it is not one of O(hosts[].names).
        type: str
  issue:
    description: Whether to make certificates, or only to verify given ones.
    type: bool
    default: true
  authority_name:
    description: Common name of the authority, when it is made.
    type: str
    default: litefleet lab CA
  authority_days:
    description: Days that the authority is valid, when it is made.
    type: int
    default: 3650
  days:
    description: Days that a host certificate is valid.
    type: int
    default: 365
  renew_days:
    description: A host certificate that ends within so many days is made anew.
    type: int
    default: 30
attributes:
  check_mode:
    description: Nothing is made.
    support: full
  diff_mode:
    description: Which certificates are made, and why.
    support: full
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Certificates for two servers
  litefleet.backup.certificates:
    directory: "{{ inventory_dir }}/.secrets/tls"
    hosts:
      - {name: nats1, names: [nats1, 10.0.0.1]}
      - {name: nats2, names: [nats2, 10.0.0.2]}
  delegate_to: localhost
"""

RETURN = r"""
made:
  description: Why each certificate was made, by host name; C(ca) is the authority.
  returned: always
  type: dict
"""

import datetime as dt
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.litefleet.backup.plugins.module_utils import _private_files

try:
    from ansible_collections.litefleet.backup.plugins.module_utils import _authority
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True


class Refused(Exception):
    """Files that are there and do not fit, or are not there and may not be made."""


def _read(directory: Path, name: str) -> _authority.Pair | None:
    """The pair of that name; None if its certificate is missing, an empty key if only its key is."""
    try:
        certificate = (directory / f"{name}.crt").read_bytes()
    except FileNotFoundError:
        return None
    try:
        return _authority.Pair(certificate, (directory / f"{name}.key").read_bytes())
    except FileNotFoundError:
        return _authority.Pair(certificate, b"")


def reason_to_make(pair: _authority.Pair | None, root: _authority.Pair, names: list[str], renew_days: int) -> str:
    """Why a host needs a new certificate; empty if it does not."""
    if pair is None:
        return "it is missing"
    if fault := _authority.fault(pair, root.certificate, names):
        return fault
    left = _authority.expires(pair.certificate) - dt.datetime.now(dt.UTC)
    return f"it ends in {left.days} days" if left < dt.timedelta(days=renew_days) else ""


def names_of(host: dict[str, Any]) -> list[str]:
    """Every name and address that the certificate must have."""
    return list(dict.fromkeys([*host["names"], *([host["address"]] if host["address"] else [])]))


def verify(params: dict[str, Any]) -> dict[str, str]:
    """Given files: every one must fit."""
    directory = Path(params["directory"])
    root = _read(directory, "ca")
    if root is None:
        raise Refused(f"{directory / 'ca.crt'} is missing; put the authority's certificate there")
    for host in params["hosts"]:
        pair = _read(directory, host["name"])
        fault = "it is missing" if pair is None else _authority.fault(pair, root.certificate, names_of(host))
        if fault:
            raise Refused(f"{directory / host['name']}.crt: {fault}; replace the .crt and .key of this host")
    return {}


def issue(params: dict[str, Any], *, check: bool) -> dict[str, str]:
    """Make what is missing or unfit; why, by name."""
    directory = Path(params["directory"])
    made: dict[str, str] = {}
    pending: dict[str, _authority.Pair] = {}
    root = _read(directory, "ca")
    if root is None:
        root = pending["ca"] = _authority.new_root(params["authority_name"], params["authority_days"])
        made["ca"] = "it is missing"
    for host in params["hosts"]:
        names = names_of(host)
        reason = reason_to_make(_read(directory, host["name"]), root, names, params["renew_days"])
        if not reason:
            continue
        if not root.key:
            raise Refused(
                f"{host['name']}.crt: {reason}, and {directory / 'ca.key'} is not there to sign a new one; "
                "give the certificate, or the authority's key"
            )
        made[host["name"]] = reason
        pending[host["name"]] = _authority.new_host(host["name"], names, params["days"], root)
    if pending and not check:
        _private_files.make_private_directory(directory)
        for name, pair in pending.items():
            _private_files.write_private(directory / f"{name}.key", pair.key)
            _private_files.write_private(directory / f"{name}.crt", pair.certificate, 0o644)
    return made


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "hosts": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "names": {"type": "list", "elements": "str", "required": True},
                    "address": {"type": "str"},
                },
            },
            "issue": {"type": "bool", "default": True},
            "authority_name": {"type": "str", "default": "litefleet lab CA"},
            "authority_days": {"type": "int", "default": 3650},
            "days": {"type": "int", "default": 365},
            "renew_days": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    if not HAS_CRYPTOGRAPHY:
        module.fail_json(msg="`cryptography` is missing in the Python that runs Ansible; install it there")
    try:
        made = issue(module.params, check=module.check_mode) if module.params["issue"] else verify(module.params)
    except (Refused, TypeError, ValueError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    module.exit_json(
        changed=bool(made),
        made=made,
        diff={"before": "", "after": "".join(f"{name}.crt: made because {why}\n" for name, why in made.items())},
    )


if __name__ == "__main__":
    main()
