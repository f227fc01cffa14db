"""The filter ``litefleet.backup.directories``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: directories
short_description: The directories of a host's databases
version_added: 0.1.0
description:
  - Entries for M(litefleet.backup.files) that make directories that are missing, with the database's owner and group.
options:
  _input:
    description: Entries as P(litefleet.backup.databases#filter) returns them.
    type: list
    elements: dict
    required: true
author: litefleet maintainers
"""

EXAMPLES = r"""
directories: "{{ litefleet_databases | litefleet.backup.databases | litefleet.backup.directories }}"
"""

RETURN = r"""
_value:
  description: One entry per directory.
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.litefleet.backup.plugins.module_utils import _derive


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"directories": _derive.directories}
