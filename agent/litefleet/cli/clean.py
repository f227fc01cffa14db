"""Remove what deletions and crashes left in a bucket: tombstones, half objects, and chunks without an object.

Works on the whole bucket, whoever wrote to it, and while agents use it: objects that can be read are never touched.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from litefleet.cli.common import (
    add_config,
    add_json,
    duration,
    find_target,
    option,
    print_json,
    print_table,
    size_text,
)
from litefleet.cli.progress import Progress
from litefleet.config.values import format_duration
from litefleet.errors import ObjectCorrupt
from litefleet.nats.clean import Leftovers, remove, survey
from litefleet.nats.connection import Connection
from litefleet.nats.objects import BucketStatus, ObjectStore


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet clean``."""
    parser.add_argument("target", metavar="DB_PATH|URL", help="a database of the configuration, or nats://host/BUCKET")
    add_config(parser)
    option(parser, "dry-run", action="store_true", help="show what would be removed, and stop")
    option(
        parser, "force", action="store_true", help="remove half objects even if they are as many as lost data leaves"
    )
    option(
        parser, "older-than", type=duration, default=3600.0, metavar="TIME",
        help="leave alone what may be on its way: half objects and chunks that are younger (default: 1h)",
    )  # fmt: skip
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Exit code 0: nothing is left that could be removed; raises NatsError, ObjectCorrupt for doubtful half objects."""
    replica, _ = find_target(options, options.target)
    async with Connection.open(replica.server) as connection:
        store = ObjectStore(connection, replica.bucket)
        before = await store.check()
        found = await survey(connection, store.names, older_than=options.older_than)
        doubt = _doubt(found, store) if found.damaged and not options.force else None
        if doubt is not None:
            found = replace(found, halves=())
        after = before
        if not options.dry_run:
            with Progress("removing", enabled=sys.stderr.isatty(), amount="{:.0f}".format) as progress:
                await remove(connection, store.names, found, progress=progress)
            after = await store.check()
    if options.json:
        print_json(_figures(options, found, before, after))
    else:
        _show(options, found, before, after)
    if doubt is not None:
        raise doubt
    return 0


def _doubt(found: Leftovers, store: ObjectStore) -> ObjectCorrupt:
    return ObjectCorrupt(
        f"{store} lacks chunks of {len(found.halves)} of its {found.objects} objects; none of these was removed",
        hint="crashes leave fewer: look at the logs and disks of the servers; once there is a new full copy, `--force`"
        " removes them",
    )


def _figures(options: argparse.Namespace, found: Leftovers, before: BucketStatus, after: BucketStatus) -> object:
    return {
        "bucket": before.bucket,
        "dry_run": options.dry_run,
        "tombstones": len(found.tombstones),
        "half_objects": [
            {"name": half.info.name, "chunks": half.chunks, "expected_chunks": half.info.chunks}
            for half in found.halves
        ],
        "orphans": [{"nuid": upload.nuid, "chunks": upload.chunks} for upload in found.uploads],
        "messages": found.messages,
        "too_young": found.young,
        "unreadable": list(found.unreadable),
        "before": {"messages": before.messages, "bytes": before.bytes},
        "after": {"messages": after.messages, "bytes": after.bytes},
        "freed": {"messages": before.messages - after.messages, "bytes": before.bytes - after.bytes},
    }


def _show(options: argparse.Namespace, found: Leftovers, before: BucketStatus, after: BucketStatus) -> None:
    rows = [
        ("tombstones", len(found.tombstones), len(found.tombstones)),
        ("half objects", len(found.halves), sum(1 + half.chunks for half in found.halves)),
        ("uploads without an object", len(found.uploads), sum(upload.chunks for upload in found.uploads)),
    ]
    print_table(["what", "number", "messages"], [[what, str(number), str(messages)] for what, number, messages in rows])
    print()
    if found.young:
        print(
            f"{found.young} younger than {format_duration(options.older_than)} may be on their way; "
            "they stay (`--older-than`)"
        )
    if found.unreadable:
        print(
            f"{len(found.unreadable)} metadata cannot be read, such as `{found.unreadable[0]}`; they stay, "
            "and so do chunks without an object, which may be theirs"
        )
    if options.dry_run:
        print(f"{found.messages} of {before.messages} messages would be removed from bucket `{before.bucket}`")
    elif not found.messages:
        print(f"nothing to remove from bucket `{before.bucket}`")
    else:
        # A bucket that is written to meanwhile may have grown.
        print(
            f"removed {found.messages} messages from bucket `{before.bucket}`: "
            f"{before.messages} messages and {size_text(before.bytes)} before, "
            f"{after.messages} messages and {size_text(after.bytes)} now, "
            f"{size_text(max(0, before.bytes - after.bytes))} freed"
        )
