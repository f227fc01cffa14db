"""What has to hold after every round: restores, by both programs, and what they are compared with."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.running import BIN, assert_same_pages, checkpointed
from tests.torture import ledger
from tests.torture.agent import Defect
from tests.torture.application import Application
from tests.torture.scene import DATABASES, Kind, Scene

#: Seconds after healing within which the bucket has to hold what was committed then; a busy machine takes its share.
CATCH_UP = 240.0
#: Seconds for one command, and tries of a restore whose files are replaced by larger ones while it reads them.
COMMAND, TRIES = 240.0, 5
#: The exit code of a restore that finds nothing.
NO_BACKUP = 7


class Checks:
    """Raises Defect; counts what it has done."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene = scene
        self._chance = chance
        self.counts: Counter[str] = Counter()
        #: Seconds.
        self.longest_catch_up = 0.0
        self.notes: list[str] = []

    def round(self, *, quiet: bool, peer: bool) -> None:
        """All databases; ``quiet``: the applications stop meanwhile. ``peer``: stock Litestream has to agree."""
        began = time.monotonic()
        scene = self._scene
        pairs = list(zip(DATABASES, scene.applications, strict=True))
        wanted = [application.halt() if quiet else application.read() for _, application in pairs]
        for kind, application in pairs:
            self.restore(kind, application)  # whatever it holds by now
        if quiet:
            self._settle(began)
            for (_, application), seq in zip(pairs, wanted, strict=True):
                application.safe = max(application.safe, seq)
        for (kind, application), seq in zip(pairs, wanted, strict=True):
            while self.restore(kind, application) < seq:
                self._wait(began, f"{kind.name}: transaction {seq} is not in the bucket, only {application.safe}")
        self.longest_catch_up = max(self.longest_catch_up, time.monotonic() - began)
        if quiet:
            if peer:
                for kind, application in pairs:
                    if not kind.path:
                        self.restore(kind, application, program="litestream")
            kind, application = self._chance.choice(pairs)
            self._some_point(kind, application)
            for application in scene.applications:
                application.go()

    def end(self) -> None:
        """Everything at rest: both programs restore all that was committed, page for page."""
        scene = self._scene
        self.round(quiet=True, peer=True)
        for application in scene.applications:
            application.halt()
        self._settle(time.monotonic())
        scene.agent.ask_to_stop()
        if scene.agent.stopped() != 0:
            raise Defect("the agent could not stop with everything acknowledged, although nothing hindered it")
        for kind, application in zip(DATABASES, scene.applications, strict=True):
            application.close()
            live = scene.directory / "live.db"
            live.write_bytes(checkpointed(application.path))
            application.safe = application.committed
            for program in ("litefleet", "litestream") if not kind.path else ("litefleet",):
                self.restore(kind, application, program=program)
                try:
                    assert_same_pages(self._output(kind), live, kind.page_size)
                except AssertionError as error:
                    raise Defect(f"{kind.name}, {program}: {error}") from None
                self.counts["equal page for page"] += 1

    def restore(self, kind: Kind, application: Application, *, program: str = "litefleet") -> int:
        """Restore and check; the number of the newest transaction in it."""
        agent = self._scene.agent
        agent.watch()
        acknowledged, safe = agent.acknowledged.get(str(application.path), 0), application.safe
        result = self._restored(kind, program, empty=not safe and not acknowledged)
        if result is None:
            return 0
        entry = self._consistent(kind, application, program)
        if entry.seq < safe:
            raise Defect(f"{kind.name}: {program} restores transaction {entry.seq}; {safe} was safe")
        if result and int(result["txid"], 16) < acknowledged:
            raise Defect(f"{kind.name}: TXID {result['txid']} restored; {acknowledged:016x} was acknowledged")
        application.safe = max(application.safe, entry.seq)
        self.counts[f"restores by {program}"] += 1
        return entry.seq

    def _consistent(self, kind: Kind, application: Application, program: str) -> ledger.Entry:
        try:
            entry = ledger.check(self._output(kind))
        except ledger.Broken as error:
            raise Defect(f"{kind.name}: what {program} restores is no prefix: {error}") from None
        application.read()
        if application.journal.get(entry.seq) != entry.chain:
            known = application.journal.get(entry.seq, "nothing")
            raise Defect(
                f"{kind.name}: {program} restores transaction {entry.seq} with chain {entry.chain}; "
                f"the application committed {known}"
            )
        return entry

    def _restored(self, kind: Kind, program: str, *, empty: bool) -> dict[str, Any] | None:
        """What ``litefleet restore`` says in JSON, of Litestream nothing; None: no backup, and there may be none."""
        output, target = self._output(kind), self._scene.target(kind)
        output.unlink(missing_ok=True)
        if program == "litefleet":
            command = ["restore", target, "-o", str(output), "--integrity-check", "full", "--json"]
        else:
            command = ["restore", "-o", str(output), f"{self._scene.servers[0].url}/{kind.bucket}"]
        for left in reversed(range(TRIES)):
            done = run(program, *command)
            if done.returncode == 0:
                return dict(json.loads(done.stdout)) if program == "litefleet" else {}
            if empty and done.returncode == NO_BACKUP:
                return None
            complaint = f"{kind.name}: {program} cannot restore ({done.returncode}): {done.stderr.strip()[-500:]}"
            self.counts[f"restores by {program} tried again"] += 1
            self.notes.append(complaint)
            self._scene.agent.say(complaint)
            if not left:
                raise Defect(complaint)
            time.sleep(1)
        raise AssertionError

    def _some_point(self, kind: Kind, application: Application) -> None:
        """A TXID of the past, as long as it is not removed, is a consistent prefix too."""
        listed = run("litefleet", "ltx", self._scene.target(kind), "--json")
        files = json.loads(listed.stdout) if listed.returncode == 0 else []
        if not files:
            return
        txid = self._chance.choice(files)["max_txid"]
        output = self._output(kind)
        output.unlink(missing_ok=True)
        done = run("litefleet", "restore", self._scene.target(kind), "-o", str(output), "--txid", txid)
        if done.returncode:
            self.counts["points of the past gone"] += 1
            self._scene.agent.say(f"{kind.name}: TXID {txid}: {done.stderr.strip()[-300:]}")
            return
        self._consistent(kind, application, f"litefleet --txid {txid}")
        self.counts["restores of the past"] += 1

    def _settle(self, began: float) -> None:
        """Until everything is acknowledged, as one of the commands says that can tell."""
        config = ("--config", self._scene.config)
        command: tuple[str | Path, ...] = self._chance.choice(
            (("status", *config), ("status", "--remote", *config), ("sync", "--wait", "--timeout", "5s", *config))
        )
        while (done := run("litefleet", *command)).returncode:
            self._wait(began, f"`{command[0]}` says: {done.stdout}{done.stderr}")

    def _wait(self, began: float, complaint: str) -> None:
        if time.monotonic() - began > CATCH_UP:
            raise Defect(f"not caught up {CATCH_UP:g} s after everything was healed: {complaint}")
        self._scene.agent.watch()
        time.sleep(0.2)

    def _output(self, kind: Kind) -> Path:
        return self._scene.directory / f"restored-{kind.name}.db"


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command's result; one that does not end in time is a defect."""
    command = [str(BIN / program), *map(str, arguments)]
    with contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND)
    raise Defect(f"`{program} {arguments[0]}` does not end within {COMMAND:g} s")
