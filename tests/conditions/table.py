"""The document that comes of a run."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.conditions.scene import Condition, Seen
from tests.support.natsserver import binary
from tests.support.running import BIN

BELOW = """\
## Weaknesses without a row of their own

Shown by another row:

- Reads that end after 5 s (Litestream): 8, 802. Restores that ignore `-parallelism`: 802.
- A list of all objects for each question: 11. Lists of an idle program: 13.
- A page index held in memory: 821. Positions that are numbers only, whatever the files hold: 811, 824.
- `nkey:` and URL forms: 1, 4, 5, 6.

Without one:

- `tls: true` ignored, and a crash on a missing bucket: Litestream before 0.5.16, not seen with the version above.
- A follower that cannot go on after a restart (`restore -f`): litefleet has no follow mode.
- A JetStream domain: neither has an option for it.
""".splitlines()


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
        "one machine, with the defaults of each (only the time to end is shortened where the server is gone or full).",
        "These conditions were chosen because they are hard; what both do well is not here. Seconds are of single",
        "runs, so take them as orders of magnitude.",
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
    return "\n".join([*lines, "", *BELOW]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _version(*command: str) -> str:
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else text
