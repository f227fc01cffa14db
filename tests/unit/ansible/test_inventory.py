"""The inventory that users copy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.unit.ansible.running import PROJECT


def listed(inventory: Path) -> tuple[dict[str, object], str]:
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(inventory), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT)
    return json.loads(done.stdout), done.stderr


def test_secrets_in_their_default_place_are_not_read_as_inventory(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    shutil.copytree(PROJECT / "inventory.example", inventory)
    before, _ = listed(inventory)
    defaults = (PROJECT / "roles/nats_accounts/defaults/main.yml").read_text()
    assert "inventory_dir ~ '/.secrets'" in defaults
    (inventory / ".secrets/nkeys").mkdir(parents=True)
    (inventory / ".secrets/nkeys/app1.agent.nk").write_text("SUNOTAREALSEED\n")
    (inventory / ".secrets/ca.key").write_text("-----BEGIN PRIVATE KEY-----\n")
    after, warnings = listed(inventory)
    assert after == before
    assert "secrets" not in warnings


def test_secrets_in_their_default_place_are_never_committed(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "inventory.example", tmp_path / "inventory")
    (tmp_path / "inventory/.secrets").mkdir()
    (tmp_path / "inventory/.secrets/route.password").write_text("x")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    names = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert "inventory/hosts.yml" in names
    assert "route.password" not in names
