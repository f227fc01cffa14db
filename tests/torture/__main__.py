"""``python -m tests.torture``: writers commit, everything around the agent breaks and heals, and nothing may be lost.

After every round each database is restored; the copy has to be a consistent prefix of what its application committed,
with all that was acknowledged. The exit code is 1 if it ever was not. A seed tells the same story of faults again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.torture.agent import Defect
from tests.torture.checks import Checks
from tests.torture.faults import KINDS, draw
from tests.torture.figures import Figures
from tests.torture.scene import Scene

#: Every so many rounds Litestream restores too.
PEER = 4


def torture(directory: Path, seed: int, minutes: float, without: frozenset[str], figures: Figures) -> None:
    """Raises Defect."""
    chance = random.Random(seed)
    end = time.monotonic() + minutes * 60
    with Scene(directory, seed) as scene:
        checks = Checks(scene, random.Random(seed + 1))
        figures.watch(scene, checks)
        try:
            while time.monotonic() < end:
                faults = draw(chance, scene.possible - without)
                quiet, ask = chance.random() < 0.5, chance.random() < 0.5
                began = time.monotonic()
                scene.agent.say(f"round {figures.rounds + 1}: {'; '.join(map(str, faults))}")
                scene.suffer(faults, ask=ask)
                scene.heal()
                healed = time.monotonic()
                checks.round(quiet=quiet, peer=(figures.rounds + 1) % PEER == 0)
                figures.note_round(faults, healed - began, time.monotonic() - healed)
            checks.end()
        except Defect:
            scene.keep()
            raise
        finally:
            figures.take()
            scene.agent.watch()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, help="repeat the faults of an earlier run")
    parser.add_argument(
        "--without", choices=KINDS, action="append", default=[], help="leave a kind of fault out; repeatable"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    # Whoever ends it: servers, disks and processes are put away.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    directory = Path(tempfile.mkdtemp(prefix="torture-"))
    print(f"seed {seed}, {options.minutes:g} minutes, in {directory}", flush=True)
    figures = Figures(seed)
    defect = ""
    try:
        torture(directory, seed, options.minutes, frozenset(options.without), figures)
    except Defect as error:
        defect = str(error)
    figures.defect = defect
    print(figures.text())
    if options.json:
        options.json.write_text(json.dumps(figures.as_dict(), indent=1) + "\n")
    if defect:
        print(f"\nDEFECT: {defect}", file=sys.stderr)
        print(f"Look at {directory}/agent.log, at the end, at restored-*.db and kept/ beside it;", file=sys.stderr)
        print(f"run it again: python -m tests.torture --seed {seed} --minutes {options.minutes:g}", file=sys.stderr)
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
