"""The filter ``litefleet.backup.size``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: size
short_description: A size as the NATS server reads it, in bytes
version_added: 0.1.0
description:
  - C(10G) is 10^10 bytes, C(10GB), C(10GiB) and C(10Gi) are 10 * 2^30 bytes, as in nats.conf.
  - JSON has no such units, and a quoted C("10G") would mean something else to the server; hence bytes.
options:
  _input:
    description: A number of bytes, or digits and a unit (K, M, G or T).
    type: raw
    required: true
author: litefleet maintainers
"""

EXAMPLES = r"""
max_file: "{{ '10G' | litefleet.backup.size }}"  # 10000000000
"""

RETURN = r"""
_value:
  description: Bytes.
  type: int
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.litefleet.backup.plugins.module_utils import _derive


def size(value: Any) -> int:
    """See DOCUMENTATION."""
    try:
        return _derive.size(value)
    except _derive.Wrong as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"size": size}
