"""The filter ``litefleet.backup.servers``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: servers
short_description: Names and addresses of inventory hosts
version_added: 0.1.0
description:
  - The address of a host is its C(litefleet_address), else its C(ansible_host), else its name in the inventory.
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
author: litefleet maintainers
"""

EXAMPLES = r"""
nats_server_peers: "{{ groups['nats'] | litefleet.backup.servers(hostvars) }}"
"""

RETURN = r"""
_value:
  description: A mapping with C(name), C(address) and C(names) (all names and addresses) for each host.
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any


def servers(names: list[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    found = []
    for name in names:
        variables = hostvars[name]
        known = [variables.get("litefleet_address"), variables.get("ansible_host"), name]
        addresses = [str(address) for address in known if address]
        found.append({"name": name, "address": addresses[0], "names": list(dict.fromkeys(reversed(addresses)))})
    return found


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"servers": servers}
