"""Have the running agent read its configuration again.

A configuration that is wrong changes nothing. Databases that stay as they are do not notice.
"""

from __future__ import annotations

import argparse

from litefleet.cli.agent import add_socket, add_timeout, ask, socket_path
from litefleet.cli.common import add_json, print_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet reload``."""
    add_timeout(parser, 120.0, "how long to wait for the agent; it goes on alone afterwards")
    add_socket(parser)
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Print what has changed."""
    answer = await ask(socket_path(options), "POST", "/reload", wait=options.timeout)
    if options.json:
        print_json(answer)
        return 0
    changes = [(word, path) for word in ("added", "removed", "changed") for path in answer[word]]
    for word, path in changes:
        print(f"{word} {path}")
    if not changes:
        print("nothing has changed")
    if answer["note"]:
        print(answer["note"])
    return 0
