"""The filter ``litefleet.backup.database_rows``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: database_rows
short_description: The status of databases as rows
version_added: 0.1.0
description:
  - Made for C(playbooks/status.yml), from what its first plays registered.
  - A row's C(status) is C(ok) or says what is wrong.
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
rows: "{{ groups['all'] | litefleet.backup.database_rows(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The rows, as P(litefleet.backup.table#filter) takes them.
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.litefleet.backup.plugins.module_utils import _report


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"database_rows": _report.database_rows}
