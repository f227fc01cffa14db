"""Print the version of litefleet and of what it is built on."""

from __future__ import annotations

import argparse
from importlib.metadata import version

import apsw

from litefleet import __version__


def configure(parser: argparse.ArgumentParser) -> None:
    """No options."""


def run(options: argparse.Namespace) -> int:
    """Print one line."""
    parts = f"SQLite {apsw.sqlite_lib_version()}, nats-py {version('nats-py')}, lz4 {version('lz4')}"
    print(f"litefleet {__version__} ({parts})")
    return 0
