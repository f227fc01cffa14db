"""``python -m tests.conditions``: provoke each hard condition with litefleet and with Litestream, side by side.

The exit code is 1 if litefleet fails in one that is not known to be open, or holds in one that is said to be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.conditions import (
    buckets,
    distance,
    figures,
    life,
    load,
    outage,
    restoring,
    sharing,
    starting,
    state,
    transfer,
)
from tests.conditions.scene import NAMES, Condition, Scene, Seen
from tests.conditions.table import Row, render

MODULES = (buckets, distance, figures, life, load, outage, restoring, sharing, starting, state, transfer)
#: Conditions that mostly wait and are watched at the same time.
AT_A_TIME = 5
CONDITIONS = sorted((one for module in MODULES for one in module.CONDITIONS), key=lambda one: one.number)


def observe(condition: Condition, program: str) -> Seen:
    """In a directory of its own; what breaks the check itself is a failure with that text."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="condition-") as name:
        try:
            seen = condition.check(Scene(program, Path(name)))
        except Exception as error:  # noqa: BLE001 - the other conditions are to be seen too
            seen = Seen(False, f"the check broke: {type(error).__name__}: {str(error)[:300]}")
    print(
        f"{condition.number:>4} {program:<11}{'good' if seen.good else 'BAD ':<5}{time.monotonic() - began:>6.1f} s  "
        f"{seen.text}",
        file=sys.stderr,
        flush=True,
    )
    return seen


def both(condition: Condition) -> Row:
    """With each program; at once if there is mostly waiting to do."""
    with ThreadPoolExecutor(len(NAMES) if condition.waiting else 1) as pool:
        ours, theirs = pool.map(partial(observe, condition), NAMES)
    return Row(condition, ours, theirs)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conditions", description=__doc__)
    numbers = [one.number for one in CONDITIONS]
    parser.add_argument("--only", type=int, action="append", choices=numbers, help="this condition; repeatable")
    parser.add_argument("--write", type=Path, metavar="FILE", help="where to put the table; all conditions only")
    options = parser.parse_args()
    if options.only and options.write:
        parser.error("--write wants all conditions, --only leaves some out")
    chosen = [one for one in CONDITIONS if not options.only or one.number in options.only]
    # First those that are busy, one after the other; then those that wait, some at a time.
    rows = [both(condition) for condition in chosen if not condition.waiting]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        rows += pool.map(both, [condition for condition in chosen if condition.waiting])
    rows.sort(key=lambda row: row.condition.number)
    text = render(rows)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(text)
    else:
        print(text)
    for row in rows:
        if not row.expected:
            what = "holds, but is said to be open" if row.ours.good else "fails"
            print(f"condition {row.condition.number} {what}: {row.ours.text}", file=sys.stderr)
    return 0 if all(row.expected for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
