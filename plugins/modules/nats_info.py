#!/usr/bin/python
"""How a NATS server is, from its monitoring pages."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nats_info
short_description: How a NATS server is
version_added: 0.1.0
description:
  - Reads C(/healthz) and C(/varz). A server that does not answer is not an error of the task.
options:
  monitor_url:
    description: Where the server's monitoring answers.
    type: str
    default: http://127.0.0.1:8222
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Look at the server
  litefleet.backup.nats_info:
  register: server
"""

RETURN = r"""
healthy:
  description: Whether C(/healthz) says 200.
  returned: always
  type: bool
problem:
  description: What is wrong, empty if healthy.
  returned: always
  type: str
version:
  description: Version of the server.
  returned: always
  type: str
connections:
  description: Clients.
  returned: always
  type: int
store_used:
  description: Bytes on disk.
  returned: always
  type: int
store_limit:
  description: Most bytes on disk.
  returned: always
  type: int
certificate_ends:
  description: When the certificate of clients' connections ends.
  returned: always
  type: str
"""

import json
import urllib.error
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def page(url: str) -> tuple[int, bytes]:
    """Status and body; status 0 if nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 0, str(getattr(error, "reason", error)).encode()


def examine(url: str) -> dict[str, Any]:
    """Everything that is returned."""
    status, body = page(f"{url}/healthz")
    problem = ""
    if status != 200:
        text = body.decode(errors="replace").strip()
        problem = f"/healthz says {status}: {text}" if status else f"{url} does not answer: {text}"
    code, varz_body = page(f"{url}/varz")
    varz = json.loads(varz_body) if code == 200 else {}
    jetstream = varz.get("jetstream", {})
    return {
        "healthy": status == 200,
        "problem": problem,
        "version": varz.get("version", ""),
        "connections": varz.get("connections", 0),
        "store_used": jetstream.get("stats", {}).get("storage", 0),
        "store_limit": jetstream.get("config", {}).get("max_storage", 0),
        "certificate_ends": varz.get("tls_cert_not_after", ""),
    }


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        argument_spec={"monitor_url": {"type": "str", "default": "http://127.0.0.1:8222"}},
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **examine(module.params["monitor_url"]))


if __name__ == "__main__":
    main()
