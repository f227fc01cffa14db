"""Bring a database back from its bucket, or with --all every database of the configuration.

A database appears in its place whole, or not at all; an existing file is never touched without --force. Stop the
application and the agent before you replace what they use.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from datetime import datetime
from pathlib import Path

from litefleet.bucket import Catalogue
from litefleet.bucket.members import holds
from litefleet.bucket.names import parse_timestamp
from litefleet.cli import restore_all
from litefleet.cli.common import (
    add_config,
    add_json,
    find_target,
    load_config,
    open_store,
    option,
    print_json,
    print_table,
    size_text,
    time_text,
)
from litefleet.cli.configured import JOBS
from litefleet.cli.progress import Progress
from litefleet.errors import NoBackup, UsageError
from litefleet.restore import Plan, Restored, plan, restore
from litefleet.restore.output import check_free
from litefleet.restore.parents import make_parents


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet restore``, named as Litestream names them."""
    parser.add_argument(
        "target", nargs="?", metavar="DB_PATH|URL", help="a database of the configuration, or nats://host/BUCKET"
    )
    option(parser, "all", action="store_true", help="every database of the configuration, instead of one")
    add_config(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="write to OUT instead of the database's path")
    option(parser, "txid", type=_txid, metavar="HEX", help="exactly this point, as `litefleet history` prints it")
    option(
        parser, "timestamp", type=_timestamp, metavar="TIME", help="the newest state at this time (RFC 3339) or before"
    )
    option(parser, "force", action="store_true", help="replace an existing file")
    option(parser, "if-db-not-exists", action="store_true", help="do nothing, successfully, if the output exists")
    option(parser, "if-replica-exists", action="store_true", help="do nothing, successfully, if there is no backup")
    option(
        parser,
        "integrity-check",
        choices=["quick", "full"],
        help="let SQLite check the result before it is put in place",
    )
    option(parser, "dry-run", action="store_true", help="show what would be fetched, and stop")
    option(
        parser, "output-dir", type=Path, metavar="DIR",
        help="with --all: write below DIR, each database under its whole path, instead of in place",
    )  # fmt: skip
    option(parser, "jobs", type=_jobs, metavar="N", help=f"with --all: so many at a time (default: {JOBS})")
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Raises RestoreError and its kin; exit code 0 means the database is there."""
    _require_sensible(options)
    if options.all:
        return await restore_all.run(options)
    replica, path = find_target(options, options.target)
    output = options.output or path
    if output is None:
        raise UsageError("A URL has no path to restore to", hint="name the file: `-o OUT`")
    output = output.absolute()
    if options.if_db_not_exists and output.exists():
        return _nothing_to_do(options, f"{output} exists; nothing was restored")
    if not options.dry_run:
        check_free(output, force=options.force)
    async with open_store(replica) as store:
        catalogue = Catalogue.of((await store.list()).objects)
        try:
            chosen = plan(catalogue, txid=options.txid, timestamp=options.timestamp)
        except NoBackup as error:
            # A backup that cannot be restored is not the same as none: nobody should start with an empty database then.
            if options.if_replica_exists and not catalogue.files:
                return _nothing_to_do(options, f"{error.message}; nothing was restored")
            error.message = f"{replica.url}: {error.message}"
            raise
        if options.dry_run:
            _show_plan(options, chosen, output)
            return 0
        if options.output is None:
            _make_parents(options, output)
        began = time.monotonic()
        with Progress("restoring", enabled=sys.stderr.isatty()) as progress:
            restored = await restore(
                store, chosen, output, force=options.force, integrity_check=options.integrity_check, progress=progress
            )
    _show_result(options, restored, time.monotonic() - began)
    return 0


def _require_sensible(options: argparse.Namespace) -> None:
    if options.txid is not None and options.timestamp is not None:
        raise UsageError("--txid and --timestamp name two points in time", hint="give one of them")
    if not options.all:
        if options.target is None:
            raise UsageError("DB_PATH|URL is missing", hint="name a database, or `--all` for every one")
        for name in ("output_dir", "jobs"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} belongs to --all", hint="one database is written to `-o`")
        return
    if options.target is not None:
        raise UsageError(f"--all and {options.target} do not go together", hint="leave one of them out")
    if options.output is not None:
        raise UsageError("-o is one file, and --all are many", hint="write below a directory: `--output-dir DIR`")
    if options.txid is not None:
        raise UsageError("Each database counts its own TXIDs", hint="with --all use `--timestamp`")


def _jobs(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 99")
    return int(text)


def _make_parents(options: argparse.Namespace, output: Path) -> None:
    """A database of a directory may have lost the directories in between as well."""
    if output.parent.exists():
        return
    for directory in load_config(options).directories:
        if holds(directory, output):
            make_parents(directory.directory, output)


def _txid(text: str) -> int:
    value = int(text, 16) if re.fullmatch("[0-9A-Fa-f]{1,16}", text) else 0
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is no TXID; `litefleet history` prints them, like 00000000000000a5")
    return value


def _timestamp(text: str) -> datetime:
    moment = parse_timestamp(text)
    if moment is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time with a zone; write it like 2026-11-23T03:15:00Z")
    return moment


def _nothing_to_do(options: argparse.Namespace, message: str) -> int:
    if options.json:
        print_json({"restored": False, "reason": message})
    else:
        print(message)
    return 0


def _show_plan(options: argparse.Namespace, chosen: Plan, output: Path) -> None:
    files = [{"name": file.object.name, "size": file.size, "created": time_text(file.created)} for file in chosen.files]
    if options.json:
        print_json({"output": str(output), "txid": f"{chosen.txid:016x}", "bytes": chosen.size, "files": files})
        return
    print_table(
        ["file", "size", "created"], [[str(file["name"]), str(file["size"]), str(file["created"])] for file in files]
    )
    print(f"\n{len(files)} files, {size_text(chosen.size)}, make {output} at TXID {chosen.txid:016x}")


def _show_result(options: argparse.Namespace, restored: Restored, seconds: float) -> None:
    if options.json:
        print_json(
            {
                "restored": True,
                "output": str(restored.path),
                "txid": f"{restored.txid:016x}",
                "created": time_text(restored.created),
                "files": restored.files,
                "fetched_bytes": restored.fetched,
                "bytes": restored.size,
                "page_size": restored.page_size,
                "seconds": round(seconds, 3),
                "integrity_check": options.integrity_check,
            }
        )
        return
    checked = f", {options.integrity_check} integrity check ok" if options.integrity_check else ""
    print(
        f"{restored.path}: TXID {restored.txid:016x} of {time_text(restored.created)}, {size_text(restored.size)} "
        f"from {restored.files} files in {seconds:.1f} s{checked}"
    )
