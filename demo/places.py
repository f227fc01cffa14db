"""Where things are, in the checkout and on the hosts."""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".cache" / "demo"
DEBS = CACHE / "debs"
SECRETS = CACHE / "secrets"
"""Also named in demo/inventory/group_vars/all.yml."""
INVENTORY = PROJECT / "demo" / "inventory"
APPLICATION = PROJECT / "demo" / "application"
PROGRAMS = Path(sys.executable).parent
"""Where ansible-playbook and nats-server are: the environment that runs the demo."""

FLEET = "demo"
"""Also named in demo/inventory/group_vars/all.yml."""
SERVERS = ("nats1", "nats2", "nats3")
APPS = ("app1", "app2")

DATA = "/var/lib/app"
LEDGER = f"{DATA}/ledger.db"
OWNER = "app"


def short(path: Path) -> str:
    """The path as seen from the checkout, if it is in it."""
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)
