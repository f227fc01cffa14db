"""The filter ``litefleet.backup.databases``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: databases
short_description: Check and complete a host's litefleet_databases
version_added: 0.1.0
description:
  - Fills in every key of every entry; the bucket defaults to the database's file name without its ending.
  - Fails, naming entry and remedy, when an entry is wrong or two entries end on one bucket.
options:
  _input:
    description: The host's C(litefleet_databases).
    type: list
    elements: dict
    required: true
  host:
    description: Name of the host, for messages.
    type: str
author: litefleet maintainers
"""

EXAMPLES = r"""
buckets: "{{ litefleet_databases | litefleet.backup.databases(inventory_hostname) | map(attribute='bucket') }}"
"""

RETURN = r"""
_value:
  description: Entries with path, bucket, owner, group, mode, replicas, max_bytes and options.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.litefleet.backup.plugins.module_utils import _derive


def databases(entries: Any, host: str = "") -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    try:
        return _derive.databases(entries)
    except _derive.Wrong as error:
        raise AnsibleFilterError(f"{host}: {error}" if host else str(error)) from None


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"databases": databases}
