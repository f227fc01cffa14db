"""List the LTX files of a database in its bucket."""

from __future__ import annotations

import argparse

from litefleet.bucket import Catalogue
from litefleet.cli.common import (
    add_config,
    add_json,
    find_target,
    open_store,
    option,
    print_json,
    print_table,
    time_text,
)

_LEVELS = ["all", *map(str, range(10))]


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet ltx``."""
    parser.add_argument("target", metavar="DB_PATH|URL", help="a database of the configuration, or nats://host/BUCKET")
    add_config(parser)
    option(
        parser, "level", choices=_LEVELS, default="0", metavar="0..9|all", help="0 (default): as captured; 9: snapshots"
    )
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Print a row per file."""
    replica, _ = find_target(options, options.target)
    async with open_store(replica) as store:
        catalogue = Catalogue.of((await store.list()).objects)
    files = catalogue.files if options.level == "all" else catalogue.at(int(options.level))
    rows = [
        {
            "level": file.level,
            "min_txid": f"{file.min_txid:016x}",
            "max_txid": f"{file.max_txid:016x}",
            "size": file.size,
            "created": time_text(file.created),
        }
        for file in files
    ]
    if options.json:
        print_json(rows)
    else:
        headings = ["level", "min_txid", "max_txid", "size", "created"]
        print_table(headings, [[str(row[key]) for key in headings] for row in rows])
    return 0
