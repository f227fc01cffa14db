"""Check a configuration file and print what it comes to, secrets masked."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from litefleet.cli.common import add_json, option, print_json
from litefleet.config import effective, load


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet check-config``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the configuration file")
    option(parser, "no-expand-env", action="store_true", help="leave ${NAME} in the configuration as it is")
    option(parser, "quiet", action="store_true", help="print nothing unless something is wrong")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Raise ConfigError with everything that is wrong, or print the effective settings."""
    settings = effective(load(options.file, expand_env=not options.no_expand_env))
    if options.json:
        print_json(settings)
    elif not options.quiet:
        print(yaml.safe_dump(settings, sort_keys=False), end="")
    return 0
