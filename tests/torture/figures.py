"""What a run has done and seen, for people and as JSON."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from tests.torture.checks import Checks
from tests.torture.faults import KINDS, Fault
from tests.torture.scene import Scene


class Figures:
    """Of one run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rounds = 0
        self.defect = ""
        self.faults: Counter[str] = Counter()
        self._began = time.monotonic()
        self._scene: Scene | None = None
        self._checks: Checks | None = None
        self._taken: dict[str, Any] = {}

    def watch(self, scene: Scene, checks: Checks) -> None:
        """Where the other figures come from."""
        self._scene, self._checks = scene, checks

    def note_round(self, faults: tuple[Fault, ...], suffered: float, checked: float) -> None:
        """One round is over: seconds until it was healed, and until everything was checked."""
        assert self._scene is not None
        self.rounds += 1
        self.faults.update(fault.kind for fault in faults)
        committed = sum(application.committed for application in self._scene.applications)
        print(
            f"{self.rounds:>4} {suffered:>5.1f} + {checked:>5.1f} s  {committed:>7} commits  "
            f"{'; '.join(map(str, faults))}",
            flush=True,
        )

    def take(self) -> None:
        """Read the last figures, while everything is still there."""
        assert self._scene is not None
        assert self._checks is not None
        scene, checks = self._scene, self._checks
        failures: Counter[str] = Counter()
        for application in scene.applications:
            failures.update(application.counts)
        self._taken = {
            "transactions committed": {one.name: one.committed for one in scene.applications},
            "transactions seen in a restore": {one.name: one.safe for one in scene.applications},
            "agent": dict(scene.agent.counts),
            "checks": dict(checks.counts),
            "longest seconds from healed to caught up and checked": round(checks.longest_catch_up, 1),
            "applications": dict(failures),
            "not tested here": sorted(set(KINDS) - scene.possible),
            "tried again": checks.notes[-20:],
        }

    def as_dict(self) -> dict[str, Any]:
        return {
            "seed": self.seed, "seconds": round(time.monotonic() - self._began), "rounds": self.rounds,
            "faults": dict(sorted(self.faults.items())), **self._taken, "defect": self.defect,
        }  # fmt: skip

    def text(self) -> str:
        """A line for each figure."""
        lines = []
        for name, value in self.as_dict().items():
            if isinstance(value, dict):
                shown = ", ".join(f"{key} {count}" for key, count in value.items())
            elif isinstance(value, list):
                shown = "; ".join(map(str, value))
            else:
                shown = str(value)
            lines.append(f"{name}: {shown or 'none'}")
        return "\n".join(lines)
