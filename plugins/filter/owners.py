"""The filter ``litefleet.backup.owners``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: owners
short_description: Owner, group and mode of a host's databases
version_added: 0.1.0
description:
  - Entries for M(litefleet.backup.restore).
options:
  _input:
    description: Entries as P(litefleet.backup.databases#filter) returns them.
    type: list
    elements: dict
    required: true
author: litefleet maintainers
"""

EXAMPLES = r"""
databases: "{{ litefleet_databases | litefleet.backup.databases | litefleet.backup.owners }}"
"""

RETURN = r"""
_value:
  description: One entry per database.
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.litefleet.backup.plugins.module_utils import _derive


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"owners": _derive.owners}
