#!/usr/bin/python
"""The object store buckets of one account."""

from __future__ import annotations

DOCUMENTATION = r"""
module: object_store
short_description: Make and change JetStream object store buckets
version_added: 0.1.0
description:
  - Makes buckets that are missing and changes settings that differ. A bucket is never removed or made anew, and a
    change that would lose data is refused.
  - Nothing is made while O(health_url) does not say 200; a server that cannot read its store would destroy a bucket
    that only seems to be missing.
  - Runs on a host with the agent's runtime (M(litefleet.backup.runtime)), whose Python must be the one that Ansible
    uses there.
options:
  buckets:
    description: The buckets.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Letters and digits and C(_) and C(-)., type: str, required: true}
      replicas: {description: Servers that hold a copy., type: int, default: 1}
      storage: {description: Where., type: str, choices: [file, memory], default: file}
      max_bytes: {description: Most bytes; -1 is no limit., type: int, default: -1}
      compression:
        description: Whether the server compresses. What the agent writes is compressed already.
        type: bool
        default: false
      description: {description: For people., type: str, default: ""}
      placement_tags: {description: Tags that servers must have., type: list, elements: str, default: []}
  url:
    description: The server, C(nats://host:port).
    type: str
    required: true
  nkey:
    description: Seed of a user that may make and change streams.
    type: str
    required: true
  ca:
    description: Path on this host of the authority's certificate; no TLS if not given.
    type: path
  inbox_prefix:
    description: Where the user may receive replies.
    type: str
    default: _INBOX
  health_url:
    description: The server's health page. It also says 503 for a moment whenever another bucket is being made.
    type: str
  health_timeout:
    description: Seconds to wait for it to say 200.
    type: int
    default: 60
  runtime:
    description: The agent's virtual environment.
    type: path
    default: /opt/litefleet/current
attributes:
  check_mode:
    description: Nothing is made. Where no server or no runtime is there yet, all buckets would be made.
    support: full
  diff_mode:
    description: Settings before and after.
    support: full
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: One bucket on three servers
  litefleet.backup.object_store:
    buckets: [{name: app, replicas: 3}]
    url: nats://nats1:4222
    nkey: "{{ lookup('litefleet.backup.secret', inventory_dir ~ '/.secrets/nkeys/app1.provisioner.nk') }}"
    ca: /etc/nats/tls/ca.pem
"""

RETURN = r"""
created:
  description: Buckets that were made, or would be.
  returned: always
  type: list
  elements: str
updated:
  description: Buckets whose settings were changed, or would be.
  returned: always
  type: list
  elements: str
"""

import asyncio
import json
import site
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


class NoRuntime(Exception):
    """The agent's packages are not on this host."""


def activate(runtime: str) -> None:
    """Make the packages of the agent's virtual environment importable."""
    found = list(Path(runtime).glob("lib/python*/site-packages"))
    if not found:
        raise NoRuntime(f"{runtime} holds no runtime; run the role litefleet.backup.litefleet_runtime on this host")
    wanted = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    made_for = found[0].parent.name
    if made_for != wanted:
        raise NoRuntime(f"{runtime} is made for {made_for}; set ansible_python_interpreter of this host to that Python")
    site.addsitedir(str(found[0]))


def health(url: str, seconds: int) -> str:
    """What is still wrong with the server after so many seconds; empty as soon as it is healthy."""
    end = time.monotonic() + seconds
    while (wrong := health_now(url)) and time.monotonic() < end:
        time.sleep(0.2)
    return wrong


def health_now(url: str) -> str:
    """What is wrong with the server; empty if it is healthy."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return "" if answer.status == 200 else f"{url} says {answer.status}"
    except urllib.error.HTTPError as error:
        return f"{url} says {error.code}: {error.read().decode(errors='replace').strip()}"
    except OSError as error:
        return f"{url} does not answer: {error}"


def shown(value: Any) -> dict[str, Any] | str:
    """Settings as a mapping, for the diff; empty if there is no bucket."""
    from dataclasses import asdict

    return "" if value is None else {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(value).items()}


async def apply(params: dict[str, Any], *, check: bool) -> list[tuple[str, Any]]:
    """Apply all buckets over one connection; the change of each."""
    from litefleet.bucket.settings import BucketSettings
    from litefleet.bucket.settings import apply as apply_bucket
    from litefleet.config.settings import TLS, Credentials, Server
    from litefleet.nats.connection import Connection

    server = Server(
        urls=(params["url"],),
        credentials=Credentials(nkey=params["nkey"]),
        tls=TLS(root_cas=(Path(params["ca"]),)) if params["ca"] else None,
        inbox_prefix=params["inbox_prefix"],
    )
    changes = []
    async with Connection.open(server, name="litefleet object_store") as connection:
        for bucket in params["buckets"]:
            wanted = BucketSettings(
                name=bucket["name"],
                replicas=bucket["replicas"],
                storage=bucket["storage"],
                max_bytes=bucket["max_bytes"],
                compression=bucket["compression"],
                description=bucket["description"],
                placement_tags=tuple(bucket["placement_tags"]),
            )
            changes.append((bucket["name"], await apply_bucket(connection, wanted, check=check)))
    return changes


def would_create(module: Any) -> None:
    """The answer of check mode where there is nothing to ask yet."""
    names = [bucket["name"] for bucket in module.params["buckets"]]
    after = "".join(f"{json.dumps(bucket, sort_keys=True)}\n" for bucket in module.params["buckets"])
    module.exit_json(changed=bool(names), created=names, updated=[], diff={"before": "", "after": after})


def main() -> None:
    """The module's entry."""
    bucket = {
        "name": {"type": "str", "required": True},
        "replicas": {"type": "int", "default": 1},
        "storage": {"type": "str", "choices": ["file", "memory"], "default": "file"},
        "max_bytes": {"type": "int", "default": -1},
        "compression": {"type": "bool", "default": False},
        "description": {"type": "str", "default": ""},
        "placement_tags": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "buckets": {"type": "list", "elements": "dict", "required": True, "options": bucket},
            "url": {"type": "str", "required": True},
            "nkey": {"type": "str", "required": True, "no_log": True},
            "ca": {"type": "path"},
            "inbox_prefix": {"type": "str", "default": "_INBOX"},
            "health_url": {"type": "str"},
            "health_timeout": {"type": "int", "default": 60},
            "runtime": {"type": "path", "default": "/opt/litefleet/current"},
        },
        supports_check_mode=True,
    )
    if module.check_mode and not module.params["nkey"].startswith("SU"):
        would_create(module)  # the user is not made yet
    try:
        activate(module.params["runtime"])
    except NoRuntime as error:
        if module.check_mode:
            would_create(module)
        module.fail_json(msg=str(error))
    if module.check_mode and module.params["ca"] and not Path(module.params["ca"]).exists():
        would_create(module)  # there is a runtime already, but no server yet
    url = module.params["health_url"]
    if url and (wrong := health(url, module.params["health_timeout"])):
        module.fail_json(msg=f"No bucket was touched, because the server is not healthy: {wrong}")
    from litefleet.errors import AuthenticationFailed, LitefleetError

    try:
        changes = asyncio.run(apply(module.params, check=module.check_mode))
    except AuthenticationFailed as error:
        if module.check_mode:
            would_create(module)  # the servers do not know the user yet
        module.fail_json(msg=str(error))
        return
    except LitefleetError as error:
        module.fail_json(msg=str(error))
        return
    differing = [(name, change) for name, change in changes if change.changed]
    module.exit_json(
        changed=bool(differing),
        created=[name for name, change in differing if change.created],
        updated=[name for name, change in differing if not change.created],
        diff=[
            {
                "before_header": f"bucket {name}",
                "after_header": f"bucket {name}",
                "before": shown(change.before),
                "after": shown(change.after),
            }
            for name, change in differing
        ],
    )


if __name__ == "__main__":
    main()
