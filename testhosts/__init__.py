"""Real systemd machines on one Linux machine, for tests and the demo.

Each host is a systemd-nspawn container with a disk of its own (an ext4 image under an overlayfs layer on a shared
base image), a network namespace of its own, and a real sshd. Hosts can lose power, hang, be cut off, be slowed down
and be replaced by an empty machine. Nothing outside the fleet's own namespaces changes in the machine's network.

    from testhosts import Fleet

    with Fleet("demo") as fleet:          # leaving the block takes everything away
        fleet.up(["app1", "app2"])
        fleet.host("app1").run(["systemctl", "is-system-running"])
        fleet.host("app1").kill()         # power loss

The same verbs exist on the command line: ``python -m testhosts --help``.
"""

from __future__ import annotations

from testhosts.fleet import Fleet
from testhosts.host import Host
from testhosts.system import HostsError, Unprepared

__all__ = ["Fleet", "Host", "HostsError", "Unprepared"]
