"""Run a module of the collection as Ansible does, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[3]


def run_module(name: str, arguments: dict[str, Any], *, check: bool = False, path: str | None = None) -> dict[str, Any]:
    """The module's result; ``path`` goes in front of PATH."""
    code = (
        "import sys\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        f"from ansible_collections.litefleet.backup.plugins.modules import {name}\n"
        "import json\n"
        "with patch_module_args(json.load(sys.stdin)):\n"
        f"    {name}.main()\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{PROJECT / 'collections'}:{PROJECT / 'agent'}"}
    if path:
        environment["PATH"] = f"{path}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    try:
        result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise AssertionError(done.stdout + done.stderr) from None
    return result
