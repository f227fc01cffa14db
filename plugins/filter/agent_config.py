"""The filter ``litefleet.backup.agent_config``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: agent_config
short_description: The agent's configuration file as a mapping
version_added: 0.1.0
description:
  - Derives C(dbs) of C(litefleet.yml) from a host's C(litefleet_databases).
options:
  _input:
    description: The host's C(litefleet_databases).
    type: list
    elements: dict
    required: true
  url:
    description: The servers, C(nats://host:port) separated by commas.
    type: str
    required: true
  nkey:
    description: Path on the host of the file with the agent's seed.
    type: str
    required: true
  ca:
    description: Path on the host of the authority's certificate.
    type: str
    required: true
  options:
    description: Settings of every database and replica, for example C(sync-interval); an entry's own win.
    type: dict
    default: {}
  top:
    description: Settings of the top level, for example C(logging).
    type: dict
    default: {}
  host:
    description: Name of the host, for messages.
    type: str
author: litefleet maintainers
"""

EXAMPLES = r"""
content: "{{ litefleet_databases | litefleet.backup.agent_config(url=url, nkey=nkey, ca=ca) | to_nice_yaml }}"
"""

RETURN = r"""
_value:
  description: The whole file.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.litefleet.backup.plugins.module_utils import _derive


def agent_config(
    entries: Any,
    url: str,
    nkey: str,
    ca: str,
    *,
    options: dict[str, Any] | None = None,
    top: dict[str, Any] | None = None,
    host: str = "",
) -> dict[str, Any]:
    """See DOCUMENTATION."""
    try:
        return _derive.agent_config(entries, url=url, nkey=nkey, ca=ca, options=options or {}, top=top or {})
    except _derive.Wrong as error:
        raise AnsibleFilterError(f"{host}: {error}" if host else str(error)) from None


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"agent_config": agent_config}
