"""List the databases of the configuration and where their copies go."""

from __future__ import annotations

import argparse

from litefleet.cli.common import add_config, add_json, load_config, print_json, print_table


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet databases``."""
    add_config(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print a row per database."""
    databases = load_config(options).databases
    if options.json:
        print_json([{"path": str(db.path), "replica": db.replica.url} for db in databases])
    else:
        print_table(["path", "replica"], [[str(db.path), db.replica.url] for db in databases])
    return 0
