"""Show what retention would remove from buckets now, and why, and what can be restored then.

Without a database or URL it looks at every database of the configuration. The agent removes by itself: this command
only shows. `--window` and `--l0-retention` answer what other settings would do.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from litefleet.bucket import Catalogue, LTXFile
from litefleet.bucket.points import points
from litefleet.cli.common import (
    add_config,
    add_json,
    duration,
    duration_text,
    find_database,
    load_config,
    option,
    print_json,
    size_text,
    time_text,
)
from litefleet.cli.configured import Buckets, look_at_all
from litefleet.config import replica_from_url
from litefleet.config.settings import Replica, Settings
from litefleet.config.values import format_duration
from litefleet.errors import LitefleetError, UsageError
from litefleet.replicate.retain import Policy, next_removal, removable

_DEFAULTS = Settings(())


@dataclass(frozen=True, slots=True)
class Sum:
    """Objects, and their bytes."""

    objects: int
    bytes: int

    @classmethod
    def of(cls, files: Sequence[LTXFile]) -> Sum:
        """Of so many files."""
        return cls(len(files), sum(file.size for file in files))

    def __str__(self) -> str:
        return f"{self.objects} objects, {size_text(self.bytes)}"


@dataclass(slots=True)
class Report:
    """What retention makes of one bucket, or path of a bucket; ``replica`` is without secrets."""

    database: str
    replica: str
    #: False: the configuration says that nothing is ever removed.
    enabled: bool
    window_seconds: float
    l0_retention_seconds: float
    remove: dict[str, Sum] = field(default_factory=dict)
    remaining: Sum = field(default_factory=lambda: Sum(0, 0))
    #: What can be restored from what remains.
    points: int = 0
    oldest: str | None = None
    newest: str | None = None
    #: Seconds until more can go, if nothing is written; None if that will not be.
    next_seconds: float | None = None
    problem: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet retention``."""
    parser.add_argument(
        "targets", nargs="*", metavar="DB_PATH|URL", help="databases of the configuration, or nats://host/BUCKET"
    )
    add_config(parser)
    option(parser, "dry-run", action="store_true", help="needed: this command only shows")
    for name, what, default in (
        ("window", "snapshot.retention", _DEFAULTS.snapshot_retention),
        ("l0-retention", "l0-retention", _DEFAULTS.l0_retention),
    ):
        option(
            parser, name, type=duration, metavar="TIME",
            help=f"instead of the configuration's `{what}` (for a URL: {format_duration(default)})",
        )  # fmt: skip
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Exit code 0 if all was answered; else the error of the first one that was not is raised, after the answers."""
    if not options.dry_run:
        raise UsageError(
            "Only the agent removes: it alone knows what it is about to write",
            hint="`--dry-run` shows what it would remove; `litefleet clean` removes what no backup needs",
        )
    reports: list[Report] = []
    first: LitefleetError | None = None
    async with AsyncExitStack() as stack:
        buckets = Buckets(stack)
        for name, replica, settings, failure in await _targets(options, buckets):
            report, error = _report(options, name, replica, settings, failure or buckets)
            reports.append(report)
            first = first or error
    if options.json:
        print_json([asdict(report) for report in reports])
    elif not (len(reports) == 1 and first):
        print("\n\n".join(text for text in map(_text, reports)))
    if first is not None:
        raise first
    return 0


async def _targets(
    options: argparse.Namespace, buckets: Buckets
) -> list[tuple[str, Replica, Settings, LitefleetError | None]]:
    """Name, replica, settings, and what is wrong already, of each database that is asked for."""
    urls = [target for target in options.targets if "://" in target]
    settings = load_config(options) if len(urls) < len(options.targets) or not options.targets else _DEFAULTS
    if not options.targets:
        configured = await look_at_all(settings, buckets)
        found: list[tuple[str, Replica, Settings, LitefleetError | None]] = [
            (str(database.path), database.replica, settings, None) for database, _ in configured.databases
        ]
        for directory, error in configured.untold:
            name = f"{directory.directory}/{directory.pattern}"
            found.append((name, directory.template.replica, settings, error))
        return found
    chosen: list[tuple[str, Replica, Settings, LitefleetError | None]] = []
    for target in options.targets:
        if target in urls:
            replica = replica_from_url(target)
            chosen.append((replica.url, replica, _DEFAULTS, None))
        else:
            database = find_database(settings, target)
            chosen.append((str(database.path), database.replica, settings, None))
    await buckets.look([replica for _, replica, _, _ in chosen])
    return chosen


def _report(
    options: argparse.Namespace, name: str, replica: Replica, settings: Settings, source: Buckets | LitefleetError
) -> tuple[Report, LitefleetError | None]:
    asked = (options.window, options.l0_retention)
    window = settings.snapshot_retention if options.window is None else options.window
    l0_retention = settings.l0_retention if options.l0_retention is None else options.l0_retention
    report = Report(name, replica.url, settings.retention_enabled or asked != (None, None), window, l0_retention)
    try:
        if isinstance(source, LitefleetError):
            raise source
        _answer(report, source.catalogue(replica))
    except LitefleetError as error:
        report.problem = str(error)
        return report, error
    return report, None


def _answer(report: Report, catalogue: Catalogue) -> None:
    policy = Policy(report.window_seconds, report.l0_retention_seconds)
    now = datetime.now(UTC)
    gone = removable(catalogue, policy, now) if report.enabled else ()
    reasons: dict[str, list[LTXFile]] = defaultdict(list)
    for removal in gone:
        reasons[removal.reason].append(removal.file)
    report.remove = {reason: Sum.of(files) for reason, files in reasons.items()}
    names = {removal.file.object.name for removal in gone}
    left = Catalogue(tuple(file for file in catalogue.files if file.object.name not in names))
    report.remaining = Sum.of(left.files)
    found = points(left.files)
    times = [point.file.created for point in found]
    report.points = len(found)
    report.oldest = time_text(min(times)) if times else None
    report.newest = time_text(max(times)) if times else None
    report.next_seconds = next_removal(left, policy, now) if report.enabled else None


def _text(report: Report) -> str:
    lines = [f"{report.database}  ({report.replica})" if report.database != report.replica else report.replica]
    if report.problem:
        return "\n".join([*lines, f"  {report.problem}"])
    if not report.enabled:
        lines.append("  `retention.enabled` is false: nothing is ever removed")
    else:
        lines.append(
            f"  window {format_duration(report.window_seconds)}, "
            f"level 0 kept {format_duration(report.l0_retention_seconds)} once compacted"
            if report.l0_retention_seconds
            else f"  window {format_duration(report.window_seconds)}, level 0 kept for all of it"
        )
        lines += [f"  remove {total}: {reason}" for reason, total in report.remove.items()]
        if not report.remove:
            lines.append("  remove nothing")
        if report.next_seconds is not None:
            lines.append(f"  more can go in {duration_text(report.next_seconds)}")
    lines.append(f"  keep {report.remaining}" + ("" if report.points else ", from which nothing can be restored"))
    if report.points:
        lines.append(f"  restorable then: {report.points} points from {report.oldest} to {report.newest}")
    return "\n".join(lines)
