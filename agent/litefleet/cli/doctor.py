"""Check all that a configuration needs, from its own text to the room in each bucket, and say what to do.

Problems come first. Each bucket gets a tiny object `litefleet/doctor-<random>`, which is purged at once; `--read-only`
writes nothing, and checks what a restore needs. The exit code is 0 only if there is no problem.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from litefleet.cli.common import add_config, add_json, option, print_json
from litefleet.config import default_path
from litefleet.doctor import ORDER, Finding, by_gravity, check_file

_COLOURS = {"problem": "31;1", "warning": "33", "note": "36", "ok": "32"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet doctor``."""
    option(parser, "read-only", action="store_true", help="write to no bucket; for hosts that only restore")
    option(parser, "strict", action="store_true", help="exit with 1 for a warning, too")
    add_config(parser)
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Print a line per finding, and what to do about it."""
    findings = by_gravity(
        await check_file(
            options.config or default_path(), expand_env=not options.no_expand_env, read_only=options.read_only
        )
    )
    if options.json:
        print_json([asdict(finding) for finding in findings])
    else:
        print("\n".join(lines(findings, colour=sys.stdout.isatty())))
    bad = {"problem", "warning"} if options.strict else {"problem"}
    return int(any(finding.status in bad for finding in findings))


def lines(findings: Sequence[Finding], *, colour: bool) -> list[str]:
    """A table, with what to do below each row, and the sums below all of them."""
    result = []
    for number, finding in enumerate(findings):
        status = f"{finding.status:7}"
        if colour:
            status = f"\033[{_COLOURS[finding.status]}m{status}\033[0m"
        indent = "\n" + " " * 9
        detail = finding.detail.replace("\n", indent)
        result.append(f"{status}  {finding.what}: {detail}")
        # Once for all that it is about.
        if finding.hint and finding.hint not in [after.hint for after in findings[number + 1 : number + 2]]:
            result.append(f"{indent[1:]}→ {finding.hint.replace(chr(10), indent)}")
    counts = Counter(finding.status for finding in findings)
    plural = {"problem": "problems", "warning": "warnings", "note": "notes", "ok": "ok"}
    sums = [f"{counts[status]} {status if counts[status] == 1 else plural[status]}" for status in ORDER]
    return [*result, "", ", ".join(sums)]
