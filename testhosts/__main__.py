"""Real systemd hosts for tests, on this machine. See ``python -m testhosts --help``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys

from testhosts import image
from testhosts.fleet import DISK_MB, Fleet
from testhosts.system import PATH, HostsError, Unprepared, check_machine

ON_HOSTS = {
    "kill": "power loss: writes not yet on the disk are lost",
    "start": "boot",
    "stop": "shut down cleanly",
    "restart": "shut down cleanly and boot",
    "replace": "the host is gone for good; an empty one of the same name and address boots",
    "cut": "pull the network cable",
    "heal": "plug it in again",
    "freeze": "hang: connections stay, nothing answers",
    "thaw": "go on",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="testhosts", description="Real systemd hosts for tests, on this machine.")
    default = os.environ.get("LITEFLEET_FLEET", "fleet")
    top.add_argument("--fleet", default=default, metavar="NAME", help="several can be up at once (%(default)s)")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.add_argument("--fleet", default=argparse.SUPPRESS, metavar="NAME", help=argparse.SUPPRESS)
        return sub

    build = verb("build", "make the base image, unless it is there")
    up = verb("up", "boot hosts; running ones stay, missing ones are added")
    up.add_argument("--disk-mb", type=int, default=DISK_MB, metavar="MB", help="size of a disk (%(default)s, sparse)")
    for sub in (build, up):
        sub.add_argument("--suite", default=image.SUITE, help="Debian suite (%(default)s)")
    up.add_argument("hosts", nargs="+", metavar="HOST")
    verb("down", "take the whole fleet away")
    listing = verb("list", "show the hosts")
    listing.add_argument("--json", action="store_true", help="as JSON")
    for name, text in ON_HOSTS.items():
        verb(name, text).add_argument("hosts", nargs="+", metavar="HOST")
    slow = verb("delay", "hold a host's frames, in each direction; 'off' ends it")
    slow.add_argument("host", metavar="HOST")
    slow.add_argument("delay", metavar="MS|off")
    slow.add_argument("jitter", nargs="?", default="0", metavar="JITTER_MS")
    slow.add_argument("loss", nargs="?", default="0", metavar="LOSS%")
    for name, text in (
        ("sh", "run a command as a unit of the host's systemd; its exit code is passed on"),
        ("ssh", "ssh to a host"),
    ):
        sub = verb(name, text)
        sub.add_argument("host", metavar="HOST")
        sub.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    verb("net", "run a command in the fleet's network").add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    verb("ssh-config", "print the path of the fleet's ssh_config")
    return top


def act(args: argparse.Namespace) -> None:
    """Do what the command line asks."""
    if args.verb == "build":
        check_machine()
        print(image.build(args.suite))
        return
    fleet = Fleet(args.fleet)
    if args.verb == "up":
        fleet.up(args.hosts, disk_mb=args.disk_mb, suite=args.suite)
    elif args.verb == "down":
        fleet.down()
    elif args.verb == "list":
        show(fleet, as_json=args.json)
    elif args.verb == "ssh-config":
        fleet.network  # noqa: B018  a fleet that is not up has none
        print(fleet.ssh_config)
    elif args.verb == "delay":
        slow_down(fleet, args)
    elif args.verb in ("sh", "ssh", "net"):
        execute(fleet, args)
    else:
        fleet.each(lambda host, _: getattr(host, args.verb)(), args.hosts)


def show(fleet: Fleet, *, as_json: bool) -> None:
    """The table of hosts."""
    rows = [dataclasses.asdict(status) for status in fleet.status()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = [["HOST", "ADDRESS", "STATE", "LEADER", "LINK"]]
    table += [["-" if value is None else str(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def slow_down(fleet: Fleet, args: argparse.Namespace) -> None:
    """``delay``."""
    host = fleet.host(args.host)
    if args.delay == "off":
        host.undelay()
        return
    try:
        delay, jitter, loss = float(args.delay), float(args.jitter), float(args.loss.removesuffix("%"))
    except ValueError:
        raise Unprepared("delay HOST MS [JITTER_MS [LOSS%]], or: delay HOST off") from None
    host.delay(delay, jitter, loss)


def execute(fleet: Fleet, args: argparse.Namespace) -> None:
    """Become the command."""
    words: list[str] = args.command[1:] if args.command[:1] == ["--"] else args.command
    if args.verb == "ssh":
        fleet.host(args.host)
        command = ["ssh", "-F", str(fleet.ssh_config), args.host, *words]
    elif not words:
        raise Unprepared(f"{args.verb}: which command?")
    elif args.verb == "sh":
        command = fleet.host(args.host).command(words)
    else:
        command = fleet.network.inside(*words)
    sys.stdout.flush()
    os.execvpe(command[0], command, {**os.environ, "PATH": PATH})  # noqa: S606


def main() -> int:
    """Exit code: 0, 1 (a host is not as asked), 2 (the machine or the call is not fit), 130 (interrupted)."""
    args = parser().parse_args()
    try:
        act(args)
    except HostsError as error:
        print(f"testhosts: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"testhosts: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"testhosts: interrupted; testhosts --fleet {args.fleet} down cleans up", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
