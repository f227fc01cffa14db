"""Have the running agent replicate one more database.

It does so until it ends: write the database into the configuration to keep it. On a server that the configuration has,
the configuration's credentials are used.
"""

from __future__ import annotations

import argparse
import json
import sys

import yaml

from litefleet.cli.agent import add_socket, ask, database_path, socket_path
from litefleet.cli.common import add_json, option, print_json
from litefleet.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet add``."""
    parser.add_argument("target", metavar="DB_PATH", help="the database")
    option(
        parser, "replica", required=True, metavar="URL|-",
        help="nats://host/BUCKET; - reads a `replica` section of the configuration from standard input",
    )  # fmt: skip
    add_socket(parser)
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Exit code 0 if the agent replicates the database, or did so already; 1 if it has trouble with it."""
    replica = _section() if options.replica == "-" else options.replica
    body = {"path": database_path(options.target), "replica": replica}
    answer = await ask(socket_path(options), "POST", "/add", body)
    if options.json:
        print_json(answer)
    else:
        print(f"{answer['path']}: {answer['status']}, replicated to {answer['replica']} until the agent ends")
        if answer["problem"]:
            print(f"litefleet: {answer['state']}: {answer['problem']}", file=sys.stderr)
    return 1 if answer["problem"] else 0


def _section() -> object:
    try:
        # What JSON has no form for, such as a date, was not meant as one.
        return json.loads(json.dumps(yaml.safe_load(sys.stdin), default=str))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        raise UsageError(
            "Standard input is not the YAML of a `replica` section", hint="write `url` and `bucket`, each in a line"
        ) from None
