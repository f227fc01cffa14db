#!/usr/bin/python
"""A running NATS server is brought to its configuration: by a reload, or by a restart where a reload cannot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nats_apply
short_description: Bring a running NATS server to the files on its disk
version_added: 0.1.0
description:
  - Waits until the server answers and its C(/healthz) says 200.
  - With O(restart=false), reloads the server if its configuration (by C(config_digest) of its C(/varz)) or one of
    O(reload_for) is not in force, and waits until C(/varz) proves it. A refused reload is silent on NATS's side; here
    it is RV(restart_needed).
  - With O(restart=true), restarts the server if RV(restart_needed) would be returned.
    Run that with C(throttle=1), so that a cluster never misses more than one server.
options:
  name:
    description: The systemd unit.
    type: str
    required: true
  binary:
    description: The server's binary.
    type: path
    required: true
  config:
    description: The server's configuration.
    type: path
    required: true
  monitor_url:
    description: Where the server's monitoring answers.
    type: str
    required: true
  reload_for:
    description: Files besides the configuration that a reload reads again.
    type: list
    elements: path
    default: []
  restart_for:
    description: Files that only a restart reads again.
    type: list
    elements: path
    default: []
  restart:
    description: Whether to restart now, or only to reload.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for the server to answer and to be healthy.
    type: int
    default: 120
  changing:
    description:
      - Paths that an earlier task of this run changed or would change. In check mode they count as changed, so that the
        restart that follows is announced; in a real run the files themselves say it.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Nothing is done.
    support: full
  diff_mode:
    description: What is done, and why.
    support: full
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Reload the server
  litefleet.backup.nats_apply:
    name: nats-server.service
    binary: /usr/local/bin/nats-server
    config: /etc/nats/nats-server.json
    monitor_url: http://127.0.0.1:8222
"""

RETURN = r"""
restart_needed:
  description: Why a restart is needed; empty if none is.
  returned: always
  type: str
"""

import datetime as dt
import json
import re
import time
import urllib.error
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.litefleet.backup.plugins.module_utils import _systemd

#: A reload is read within milliseconds; this long without effect means it was refused.
RELOAD_SECONDS = 5.0


def _seconds(stamp: str) -> float:
    """A time of /varz, in seconds of the wall clock."""
    match = re.fullmatch(r"(.*?T\d+:\d+:\d+)(\.\d+)?(Z|[+-]\d\d:\d\d)", stamp)
    if not match:
        raise ValueError(f"{stamp} is not a time")
    whole, fraction, zone = match.groups()
    moment = dt.datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone))
    return moment.timestamp() + float(fraction or 0)


class Server:
    """The server on this host."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.params = module.params
        self.unit = _systemd.Unit(module, self.params["name"])

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a page of the monitoring; status 0 if it does not answer."""
        try:
            with urllib.request.urlopen(self.params["monitor_url"] + path, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError as error:
            return 0, str(error).encode()

    def varz(self) -> dict[str, Any] | None:
        """The server's /varz; None if it does not answer."""
        status, body = self.get("/varz")
        return json.loads(body) if status == 200 else None

    def digest(self) -> str:
        """The digest that /varz must show for the configuration on the disk."""
        code, out, err = self.module.run_command([self.params["binary"], "-t", "-c", self.params["config"]])
        match = re.search(r"sha256:[0-9a-f]{64}", out + err)
        if code or not match:
            self.module.fail_json(msg=f"{self.params['config']} is refused: {(err + out).strip()}")
        return str(match.group(0)) if match else ""

    def _changed(self, option: str, since: str) -> list[str]:
        """Paths of an option that changed since a time of /varz, or in check mode would change."""
        paths = self.params[option]
        if self.module.check_mode and (announced := [path for path in paths if path in self.params["changing"]]):
            return announced
        return _systemd.newer_than(paths, _seconds(since))

    def reload_needed(self, varz: dict[str, Any], digest: str) -> str:
        """Why a reload is needed; empty if none is."""
        announced = self.module.check_mode and self.params["config"] in self.params["changing"]
        if announced or varz.get("config_digest") != digest:
            return f"{self.params['config']} is not in force"
        newer = self._changed("reload_for", varz["config_load_time"])
        return f"{', '.join(newer)} changed" if newer else ""

    def restart_needed(self, varz: dict[str, Any]) -> str:
        """Why nothing less than a restart will do; empty if none is needed."""
        newer = self._changed("restart_for", varz["start"])
        return f"{', '.join(newer)} changed" if newer else ""

    def reload(self, before: dict[str, Any], digest: str) -> bool:
        """Reload and wait for the proof; whether there was one."""
        self.unit.run("reload")
        end = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < end:
            varz = self.varz()
            loaded = varz is not None and varz["config_load_time"] != before["config_load_time"]
            if varz is not None and loaded and varz.get("config_digest") == digest:
                return True
            time.sleep(0.1)
        return False

    def restart(self) -> None:
        """Restart, and wait until the server is healthy again."""
        self.unit.run("daemon-reload")
        self.unit.run("restart")
        self.wait("/healthz")

    def wait(self, path: str) -> None:
        """Until a page of the monitoring says 200."""
        end = time.monotonic() + self.params["timeout"]
        status, body = self.get(path)
        while status != 200:
            if time.monotonic() > end:
                self.unit.fail(f"{path} is not 200 after {self.params['timeout']} s: {body.decode(errors='replace')}")
            time.sleep(0.1)
            status, body = self.get(path)


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "binary": {"type": "path", "required": True},
            "config": {"type": "path", "required": True},
            "monitor_url": {"type": "str", "required": True},
            "reload_for": {"type": "list", "elements": "path", "default": []},
            "restart_for": {"type": "list", "elements": "path", "default": []},
            "restart": {"type": "bool", "default": False},
            "changing": {"type": "list", "elements": "path", "default": []},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    server = Server(module)
    if not module.check_mode:
        server.wait("/varz")
    varz = server.varz()
    if varz is None:  # check mode, and not installed yet; starting it is the business of another task
        module.exit_json(changed=False, restart_needed="")
        return
    why_restart = server.restart_needed(varz)
    if module.params["restart"]:
        digest = server.digest()
        why_restart = why_restart or server.reload_needed(varz, digest)
        if why_restart and not module.check_mode:
            server.restart()
        finish(module, "restart" if why_restart else "", why_restart, "")
    why_reload = "" if why_restart else server.reload_needed(varz, server.digest())
    if why_reload and not module.check_mode and not server.reload(varz, server.digest()):
        finish(module, "", "", f"the server refused to reload: {why_reload}")
    if not module.check_mode and not why_restart:
        server.wait("/healthz")
    finish(module, "reload" if why_reload else "", why_reload, why_restart)


def finish(module: Any, action: str, why: str, restart_needed: str) -> None:
    """End the module."""
    text = f"{action} because {why}\n" if action else ""
    module.exit_json(changed=bool(action), restart_needed=restart_needed, diff={"before": "", "after": text})


if __name__ == "__main__":
    main()
