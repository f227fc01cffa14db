"""Have the running agent send a database's last transactions and let it go.

A database of the configuration comes back when the agent starts again or its configuration is reloaded. What is in the
bucket stays there.
"""

from __future__ import annotations

import argparse

from litefleet.cli.agent import add_socket, add_timeout, ask, database_path, socket_path
from litefleet.cli.common import add_json, print_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet remove``."""
    parser.add_argument("target", metavar="DB_PATH", help="the database")
    add_timeout(parser, 120.0, "how long to wait for the agent; it goes on alone afterwards")
    add_socket(parser)
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Exit code 8 if the last transactions were not acknowledged."""
    body = {"path": database_path(options.target)}
    answer = await ask(socket_path(options), "POST", "/remove", body, wait=options.timeout)
    if options.json:
        print_json(answer)
    else:
        print(f"{answer['path']}: {answer['status']}; its backup stays in the bucket")
    return 0
