"""Have the running agent send what is committed, at once."""

from __future__ import annotations

import argparse

from litefleet.cli.agent import add_socket, add_timeout, ask, database_path, socket_path
from litefleet.cli.common import add_json, option, print_json, print_table
from litefleet.service.interface import path_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet sync``."""
    parser.add_argument("target", nargs="?", metavar="DB_PATH", help="only this database")
    option(parser, "wait", action="store_true", help="until everything committed by now is acknowledged")
    add_timeout(parser, 30.0, "with --wait: how long at most")
    add_socket(parser)
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Print a row per database. With ``--wait``, exit code 8 if something was not acknowledged in time."""
    body = {"wait": options.wait, "timeout": options.timeout}
    if options.target:
        body["path"] = database_path(options.target)
    rows = (await ask(socket_path(options), "POST", "/sync", body, wait=options.timeout))["databases"]
    if options.json:
        print_json(rows)
    else:
        table = [[path_text(row["path"]), row["status"], row["txid"] or "-"] for row in rows]
        print_table(["database", "status", "txid"], table)
    return 0
