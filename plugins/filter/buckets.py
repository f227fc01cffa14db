"""The filter ``litefleet.backup.buckets``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: buckets
short_description: The buckets of a host's litefleet_databases
version_added: 0.1.0
description:
  - One bucket per database, as M(litefleet.backup.object_store) takes them.
options:
  _input:
    description: The host's C(litefleet_databases).
    type: list
    elements: dict
    required: true
  host:
    description: Name of the host, for messages and for the bucket's description.
    type: str
    required: true
  replicas:
    description: Servers that hold a copy, where an entry does not say.
    type: int
    default: 1
author: litefleet maintainers
"""

EXAMPLES = r"""
buckets: "{{ litefleet_databases | litefleet.backup.buckets(inventory_hostname, 3) }}"
"""

RETURN = r"""
_value:
  description: Name, replicas, max_bytes and description of each bucket.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.litefleet.backup.plugins.module_utils import _derive


def buckets(entries: Any, host: str, replicas: int = 1) -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    try:
        return _derive.buckets(entries, host, replicas)
    except _derive.Wrong as error:
        raise AnsibleFilterError(f"{host}: {error}") from None


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"buckets": buckets}
