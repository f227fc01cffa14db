"""List the points in time that a database can be restored to, the newest last.

Each of them is what `litefleet restore --txid` takes, and `--timestamp` takes any time in between.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime

from litefleet.bucket import Catalogue
from litefleet.bucket.plan import plan
from litefleet.bucket.points import Point, points
from litefleet.cli.common import (
    add_config,
    add_json,
    duration_text,
    find_target,
    open_store,
    option,
    print_json,
    print_table,
    size_text,
    time_text,
)
from litefleet.errors import NoBackup


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet history``."""
    parser.add_argument("target", metavar="DB_PATH|URL", help="a database of the configuration, or nats://host/BUCKET")
    add_config(parser)
    option(parser, "limit", type=_count, default=50, metavar="N", help="the newest N points (default: 50; 0: all)")
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Exit code 0 only if the newest state is among the points; raises NoBackup if there are none."""
    replica, _ = find_target(options, options.target)
    async with open_store(replica) as store:
        catalogue = Catalogue.of((await store.list()).objects)
    found = points(catalogue.files)
    problem = ""
    try:
        plan(catalogue)
    except NoBackup as error:
        error.message = f"{replica.url}: {error.message}"
        if not found:
            raise
        problem = str(error)
    shown = found[-options.limit :] if options.limit else found
    if options.json:
        print_json(_figures(replica.url, found, shown, problem))
    else:
        _show(found, shown, problem)
    return NoBackup.exit_code if problem else 0


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of points; 0 is all of them")
    return int(text)


def _window(found: Sequence[Point]) -> tuple[datetime, datetime]:
    """The oldest and the newest time; a clock may have been set back in between."""
    times = [point.file.created for point in found]
    return min(times), max(times)


def _figures(url: str, found: Sequence[Point], shown: Sequence[Point], problem: str) -> object:
    oldest, newest = _window(found)
    return {
        "replica": url,
        "window": {
            "points": len(found),
            "oldest": {"txid": f"{found[0].txid:016x}", "time": time_text(oldest)},
            "newest": {"txid": f"{found[-1].txid:016x}", "time": time_text(newest)},
            "seconds": round((newest - oldest).total_seconds(), 3),
        },
        "problem": problem,
        "points": [
            {
                "txid": f"{point.txid:016x}",
                "time": time_text(point.file.created),
                "kind": point.kind,
                "level": point.file.level,
                "files": point.files,
                "fetch_bytes": point.size,
            }
            for point in shown
        ],
    }


def _show(found: Sequence[Point], shown: Sequence[Point], problem: str) -> None:
    print_table(
        ["txid", "time", "kind", "files", "fetch"],
        [
            [f"{point.txid:016x}", time_text(point.file.created), point.kind, str(point.files), size_text(point.size)]
            for point in shown
        ],
    )
    oldest, newest = _window(found)
    print(
        f"\n{len(found)} points from {time_text(oldest)} to {time_text(newest)}, "
        f"{duration_text((newest - oldest).total_seconds())}"
        + (f"; the newest {len(shown)} are shown, `--limit 0` shows all" if len(shown) < len(found) else "")
    )
    if problem:
        print(f"what is newer cannot be restored: {problem}")
