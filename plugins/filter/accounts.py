"""The filter ``litefleet.backup.accounts``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: accounts
short_description: The NATS accounts of hosts, one per host
version_added: 0.1.0
description:
  - Makes one account per host for the server's configuration, with the least permissions for the host's
    C(litefleet_databases).
  - The user of the agent may read, write and purge its buckets; the provisioner may make and change them.
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Ansible's C(hostvars).
    type: dict
    required: true
  public_keys:
    description: Public keys by C(<host>.agent) and C(<host>.provisioner).
    type: dict
    required: true
  max_file:
    description: Bytes that the buckets of one account may hold; no limit if not given.
    type: int
author: litefleet maintainers
"""

EXAMPLES = r"""
nats_server_accounts: "{{ groups['agents'] | litefleet.backup.accounts(hostvars, secrets.public_keys) }}"
"""

RETURN = r"""
_value:
  description: The value of C(accounts) in the server's configuration.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.litefleet.backup.plugins.module_utils import _derive


def accounts(
    hosts: list[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    public_keys: Mapping[str, str],
    max_file: int | None = None,
) -> dict[str, Any]:
    """See DOCUMENTATION."""
    made: dict[str, Any] = {}
    for host in hosts:
        agent, provisioner = (public_keys[f"{host}.{user}"] for user in (_derive.AGENT, _derive.PROVISIONER))
        try:
            made[host] = _derive.account(hostvars[host].get("litefleet_databases"), agent, provisioner, max_file)
        except _derive.Wrong as error:
            raise AnsibleFilterError(f"{host}: {error}") from None
    return made


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"accounts": accounts}
