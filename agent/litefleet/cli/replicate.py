"""Replicate every database of the configuration, until told to stop."""

from __future__ import annotations

import argparse
import signal
from dataclasses import replace

from litefleet.cli.common import add_config, load_config, option
from litefleet.service import replicate_forever, replicate_once
from litefleet.service.logs import configure as configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet replicate``."""
    add_config(parser)
    option(parser, "once", action="store_true", help="bring the buckets up to date, then end")
    option(
        parser, "takeover", action="store_true", help="take buckets that belong to another database, or another host"
    )
    option(parser, "log-level", choices=["debug", "info", "warn", "error"], help="instead of the configuration's")


async def run(options: argparse.Namespace) -> int:
    """Exit code 0 only if every committed transaction was acknowledged."""
    # A reload that is asked for before the agent listens is no reason to end; what it would read is read now.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = load_config(options)
    configure_logs(replace(settings.logging, level=options.log_level) if options.log_level else settings.logging)
    if options.once:
        await replicate_once(settings, takeover=options.takeover)
    else:
        await replicate_forever(settings, lambda: load_config(options), takeover=options.takeover)
    return 0
