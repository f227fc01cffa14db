"""``python -m demo``: see :mod:`demo`."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from demo import playbook
from demo.compare import problems
from demo.errors import DemoError, Unfit
from demo.journal import tail
from demo.places import FLEET, short
from demo.screen import Screen
from demo.story import Story
from testhosts import Fleet, HostsError

_LOCK = Path("/run/litefleet-demo.lock")
_LAST_LINES = 40
_LOOK = f".venv/bin/python -m testhosts --fleet {FLEET}"


def main() -> int:
    """Exit code: 0 (all came back), 1 (it did not, or a step failed), 2 (the machine is not fit), 130 (interrupted)."""
    parser = argparse.ArgumentParser(
        prog="demo", description="A fleet from nothing: build, write, destroy a host, bring its databases back."
    )
    kept = os.environ.get("KEEP", "").lower() not in ("", "0", "no", "false")
    parser.add_argument("--keep", action="store_true", default=kept, help="leave the fleet up at the end (or KEEP=1)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    screen = Screen()
    try:
        with _alone():
            return _demo(screen, keep=options.keep)
    except (DemoError, HostsError) as error:
        return _failed(screen, error)
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130


def _demo(screen: Screen, *, keep: bool) -> int:
    playbook.check_programs()
    fleet = Fleet(FLEET)
    if fleet.hosts():
        screen.say(f"Taking down the fleet {FLEET} that an earlier run has left")
    fleet.down()
    ended = False
    try:
        outcomes = Story(screen, fleet).tell()
        ended = True
        return 1 if problems(outcomes) else 0
    except (DemoError, HostsError) as error:
        code = _failed(screen, error)
        _advise(screen, keep=keep)
        return code
    finally:
        if keep and fleet.hosts():
            screen.say(f"The fleet is still up:  {_LOOK} ssh app1")
            screen.say(f"Take it away with:      {_LOOK} down")
        else:
            _take_down(screen, fleet, early=not ended)


def _failed(screen: Screen, error: DemoError | HostsError) -> int:
    screen.now("")
    sys.stdout.flush()
    log = error.log if isinstance(error, DemoError) else None
    if log is not None:
        print(f"\nthe last lines of {short(log)}:", file=sys.stderr)
        for line in tail(log, _LAST_LINES):
            print(f"  {line}", file=sys.stderr)
    print(f"\ndemo: {error}", file=sys.stderr)
    return error.exit_code


def _advise(screen: Screen, *, keep: bool) -> None:
    if not keep:
        screen.say(f"To look around after a failure:  KEEP=1 make demo, then {_LOOK} ssh app1")


def _take_down(screen: Screen, fleet: Fleet, *, early: bool) -> None:
    """Not to be interrupted again: half a fleet would stay. Children inherit that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    screen.say(f"{'Stopped early. ' if early else ''}Taking down the fleet {FLEET}")
    fleet.down()


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One demo at a time on this machine: they would share the fleet."""
    try:
        lock = _LOCK.open("w")
    except PermissionError:
        raise Unfit("hosts need root: sudo make demo") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unfit("another demo is running on this machine; wait for its end") from None
        yield


if __name__ == "__main__":
    sys.exit(main())
