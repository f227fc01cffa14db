"""The demo, step by step."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from demo import hosts, packages, playbook
from demo.application.examine import examine
from demo.compare import HEADINGS, Outcome, ledger_differences, problems, static_differences
from demo.errors import DemoError
from demo.journal import Journal, Told
from demo.packages import Shipped
from demo.places import APPS, CACHE, DATA, LEDGER, SECRETS, SERVERS
from demo.screen import Screen
from testhosts import Fleet, image

#: Who has which of Debian's databases, beside a ledger; demo/inventory/host_vars says the same.
SHIPPED: Mapping[str, tuple[Shipped, ...]] = {
    "app1": (packages.PROJ, packages.ENGLISH),
    "app2": (packages.EMOJI,),
}
DOOMED = "app1"
_ENTRIES_BEFORE_THE_END = 100
_RESTORED = re.compile(rf"\b{DOOMED}\s+(/\S+)\s+restored\s+([0-9a-f]{{16}})\b")


class Story:
    """All steps on one fleet; each raises DemoError or HostsError if it fails."""

    def __init__(self, screen: Screen, fleet: Fleet) -> None:
        self.screen = screen
        self.fleet = fleet
        self._originals: dict[str, dict[str, Any]] = {}
        self._lost_power = 0.0

    def tell(self) -> list[Outcome]:
        """The whole demo. The result is what came back."""
        self._fetch()
        self._boot()
        self._install()
        self._build()
        with Journal(self.fleet, DOOMED, f"{DOOMED}-before") as journal:
            self._build_again()
            self._show_lag()
            self._destroy(journal)
        told = journal.told
        self._replace()
        restored = self._restore()
        outcomes = self._compare(told, restored)
        self._go_on(outcomes)
        self._figures()
        return outcomes

    # --- before ---------------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        with self.screen.step("databases", "Real databases, from Debian packages"):
            rows = []
            self.screen.now("apt-get download")
            packages.fetch(itertools.chain(*SHIPPED.values()), self.screen.say)
            for host, databases in SHIPPED.items():
                for shipped in databases:
                    self.screen.now(shipped.name)
                    found = examine(str(shipped.path), immutable=True)
                    self._originals[_path(shipped)] = found
                    kib = f"{shipped.path.stat().st_size / 1024:.0f} KiB"
                    rows.append([host, shipped.name, kib, f"{found['rows']} rows", shipped.what])
            self.screen.table(["host", "database", "size", "content", "what it is"], rows)

    def _boot(self) -> None:
        with self.screen.step("hosts", "Five hosts boot: three for NATS, two with applications"):
            self.screen.now("base image (made once)")
            image.build(image.SUITE)
            self.screen.now(" ".join([*SERVERS, *APPS]))
            self.fleet.up([*SERVERS, *APPS])
            for status in self.fleet.status():
                self.screen.say(f"{status.host}  {status.address}  {status.state}")

    def _install(self) -> None:
        with self.screen.step("application", "The application starts: 20 transactions a second on each host"):
            for host in APPS:
                hosts.install(self.fleet, host, {_path(shipped): shipped.path for shipped in SHIPPED[host]})
                hosts.start(self.fleet, host)
                self.screen.say(f"{host}: {LEDGER}")

    def _build(self) -> None:
        with self.screen.step("site", "ansible-playbook site.yml: NATS cluster, TLS, accounts, buckets, agents"):
            if SECRETS.exists():
                shutil.rmtree(SECRETS)
            done = playbook.run(self.screen, "site.yml", log="site")
            self.screen.say(f"{done.changed} changes on {len(done.recap)} hosts")

    def _build_again(self) -> None:
        with self.screen.step("again", "ansible-playbook site.yml again: nothing to change"):
            done = playbook.run(self.screen, "site.yml", log="site-again")
            for host, counts in done.recap.items():
                self.screen.say(f"{host}: ok={counts['ok']} changed={counts['changed']} failed={counts['failed']}")
            if done.changed:
                raise DemoError(f"the second run of site.yml made {done.changed} changes", log=CACHE / "site-again.log")

    def _show_lag(self) -> None:
        with self.screen.step("lag", "How far behind is the backup? litefleet status on each host"):
            rows = []
            for host in APPS:
                self.screen.now(host)
                for row in hosts.lag(self.fleet, host):
                    lag = "-" if row["lag"] is None else f"{row['lag']:.2f} s"
                    rows.append([host, row["database"], row["status"], row["txid"] or "-", lag])
            self.screen.table(["host", "database", "status", "newest TXID", "lag"], rows)

    # --- the loss -------------------------------------------------------------------------------------------------

    def _destroy(self, journal: Journal) -> None:
        with self.screen.step("loss", f"{DOOMED} loses power, without warning, while it writes"):
            enough = journal.read().committed + _ENTRIES_BEFORE_THE_END

            def written(told: Told) -> bool:
                txid = told.acknowledged.get(LEDGER, 0)
                self.screen.now(f"{DOOMED}: {told.committed} entries committed, acknowledged up to TXID {txid:016x}")
                return told.committed >= enough

            journal.until(written, 60, f"{_ENTRIES_BEFORE_THE_END} more transactions on {DOOMED}")
            self.fleet.host(DOOMED).kill()
            self._lost_power = time.monotonic()
            told = journal.read()
            self.screen.say("The host is gone. The last that was heard of it:", "yellow")
            self.screen.say(f"committed      entry {told.committed}")
            for path, txid in sorted(told.acknowledged.items()):
                self.screen.say(f"acknowledged   TXID {txid:016x}  {path}")

    def _replace(self) -> None:
        with self.screen.step("replacement", f"The disk is lost, too; an empty host takes {DOOMED}'s name and address"):
            self.screen.now("boot")
            self.fleet.host(DOOMED).replace()
            traces = f"{DATA} /opt/litefleet /etc/litefleet"
            there = hosts.ssh(self.fleet, DOOMED, f"ls -d {traces} 2>/dev/null", check=False)
            if there:
                raise DemoError(f"the new {DOOMED} is not empty: {' '.join(there.split())}")
            hosts.install(self.fleet, DOOMED, {})
            self.screen.say("The application is installed, but it has no database and does not run.")

    def _restore(self) -> dict[str, int]:
        with self.screen.step("restore", f"ansible-playbook playbooks/restore.yml --limit {DOOMED}"):
            full = ["-e", "litefleet_restore_integrity_check=full"]
            done = playbook.run(
                self.screen, "playbooks/restore.yml", "--limit", DOOMED, *full, log="restore"
            )  # fmt: skip
            restored = restored_txids(done.lines)
            self.screen.say(f"{len(restored)} databases restored")
            return restored

    # --- after ----------------------------------------------------------------------------------------------------

    def _compare(self, told: Told, restored: Mapping[str, int]) -> list[Outcome]:
        with self.screen.step("comparison", "Before and after"):
            outcomes = [self._ledger(told, restored)]
            outcomes += [self._static(_path(shipped), told, restored) for shipped in SHIPPED[DOOMED]]
            self.screen.table(HEADINGS, [outcome.cells() for outcome in outcomes])
            for problem in problems(outcomes):
                self.screen.say(problem, "red")
            if not problems(outcomes):
                self.screen.say(
                    "Every acknowledged transaction is back, and every database is what it was.", "green"
                )  # fmt: skip
            return outcomes

    def _ledger(self, told: Told, restored: Mapping[str, int]) -> Outcome:
        self.screen.now(LEDGER)
        found = hosts.examine(self.fleet, DOOMED, LEDGER, told.committed)
        before = told.digests.get(min(told.committed, found["entries"]), "")
        return Outcome(
            LEDGER,
            told.acknowledged.get(LEDGER),
            restored.get(LEDGER),
            told.committed,
            found["entries"],
            found["integrity"],
            ledger_differences(found["wrong"], before, found["digest"]),
        )

    def _static(self, path: str, told: Told, restored: Mapping[str, int]) -> Outcome:
        self.screen.now(path)
        before, back = self._originals[path], hosts.examine(self.fleet, DOOMED, path)
        return Outcome(
            path,
            told.acknowledged.get(path),
            restored.get(path),
            before["rows"],
            back["rows"],
            back["integrity"],
            static_differences(before["pages"], back["pages"], before["rows"], back["rows"]),
        )

    def _go_on(self, outcomes: Iterable[Outcome]) -> None:
        back = next(outcome for outcome in outcomes if outcome.database == LEDGER)
        with self.screen.step("protected", f"The application goes on, on the new {DOOMED}, and is protected as before"):
            hosts.start(self.fleet, DOOMED)
            with Journal(self.fleet, DOOMED, f"{DOOMED}-after") as journal:
                txid = back.restored or back.acknowledged or 0
                now = journal.until(
                    lambda told: told.committed > back.rows_back and told.acknowledged.get(LEDGER, 0) > txid,
                    60, f"an acknowledged transaction of the new {DOOMED}",
                )  # fmt: skip
            self.screen.say(f"committed entry {now.committed}, acknowledged TXID {now.acknowledged[LEDGER]:016x}")
            self.screen.seconds["outage"] = time.monotonic() - self._lost_power

    def _figures(self) -> None:
        seconds = self.screen.seconds
        rows = [
            ("five hosts up", seconds["hosts"]),
            ("site.yml", seconds["site"]),
            ("site.yml again", seconds["again"]),
            ("restore.yml", seconds["restore"]),
            ("from power loss to the next acknowledged transaction", seconds["outage"]),
            ("everything", self.screen.elapsed),
        ]
        self.screen.say()
        self.screen.table(["what", "seconds"], [[what, f"{value:7.1f}"] for what, value in rows])


def restored_txids(lines: Iterable[str]) -> dict[str, int]:
    """The TXID of each database in the table that restore.yml prints."""
    return {match[1]: int(match[2], 16) for line in lines for match in _RESTORED.finditer(line)}


def _path(shipped: Shipped) -> str:
    return str(Path(DATA) / shipped.name)
