"""The filter ``litefleet.backup.table``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: table
short_description: Rows as a readable table
version_added: 0.1.0
description:
  - Aligns the columns and puts their names on top.
options:
  _input:
    description: The rows.
    type: list
    elements: dict
    required: true
  columns:
    description: Keys of the rows, in order; they are the titles, too.
    type: list
    elements: str
    required: true
author: litefleet maintainers
"""

EXAMPLES = r"""
text: "{{ rows | litefleet.backup.table(['host', 'status']) }}"
"""

RETURN = r"""
_value:
  description: A line of titles, and one line per row.
  type: str
"""

from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """See DOCUMENTATION."""
    cells = [list(columns), *([_text(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def _text(value: Any) -> str:
    return "-" if value is None or value == "" else " ".join(str(value).split())


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"table": table}
