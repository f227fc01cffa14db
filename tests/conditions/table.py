"""The document that comes of a run."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.conditions import elsewhere
from tests.conditions.scene import Condition, Seen
from tests.support.natsserver import binary
from tests.support.running import BIN


@dataclass(frozen=True, slots=True)
class Row:
    """A condition and what each program made of it."""

    condition: Condition
    ours: Seen
    theirs: Seen

    @property
    def verdict(self) -> str:
        if self.ours.good:
            return "holds"
        return "open" if self.condition.open_because else "FAILS"

    @property
    def expected(self) -> bool:
        """False too for what is said to be open, and holds: then the table says less than is true."""
        return self.ours.good != bool(self.condition.open_because)


def render(rows: list[Row]) -> str:
    """Markdown."""
    versions = ", ".join(
        f"{name} {_version(*command)}"
        for name, command in (
            ("litefleet", (str(BIN / "litefleet"), "version")),
            ("Litestream", (str(BIN / "litestream"), "version")),
            ("nats-server", (binary(), "--version")),
        )
    )
    holding = sum(row.verdict == "holds" for row in rows)
    peer = sum(row.theirs.good for row in rows)
    lines = [
        "# The hard conditions",
        "",
        "What happens on a bad day, provoked for real with both programs against real nats-servers of 127.0.0.1, on",
        "one machine. Both run with their defaults, except that intervals and limits are shortened alike where a row",
        "would take hours or gigabytes otherwise. Most conditions were chosen because Litestream fails in them; what",
        "both do well is not here. Seconds are of single runs, so take them as orders of magnitude.",
        "`make conditions` runs it all and writes this page; the command of a row runs that row alone.",
        "",
        f"{versions}; {datetime.now(UTC):%Y-%m-%d}.",
        f"litefleet holds in {holding} of {len(rows)} conditions, Litestream in {peer}.",
        "",
        "| # | condition | Litestream | litefleet | reproduce |",
        "|--:|---|---|---|---|",
    ]
    for row in rows:
        number = row.condition.number
        ours = f"**{row.verdict}**: {_cell(row.ours.text)}"
        if row.verdict == "open":
            ours += f" ({row.condition.open_because})"
        theirs = f"{'holds' if row.theirs.good else 'fails'}: {_cell(row.theirs.text)}"
        command = f"`python -m tests.conditions --only {number}`"
        lines.append(f"| {number} | {row.condition.title} | {theirs} | {ours} | {command} |")
    lines += ["", "## Shown by other rows", ""]
    lines += [f"- {number}. {what}: see {_and(rows)}." for number, (what, rows) in elsewhere.SHOWN.items()]
    lines += ["", "## Not provoked", ""]
    lines += [f"- {number}. {what}" for number, what in elsewhere.NOT_PROVOKED.items()]
    return "\n".join(lines) + "\n"


def _and(numbers: tuple[int, ...]) -> str:
    return " and ".join(map(str, numbers))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _version(*command: str) -> str:
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else text
