"""``python -m tests.fuzz.child NAME FINDINGS [libFuzzer's options and corpora]``: fuzz one target in this process.

A defect does not end the run: the first input of each kind goes into the directory FINDINGS, with its traceback.
"""

from __future__ import annotations

import hashlib
import logging
import re
import resource
import sys
import traceback
from pathlib import Path

import atheris

# What is tested is imported in here, and only here, so that its branches are seen.
with atheris.instrument_imports(include=["litefleet"]):
    from tests.fuzz.target import MIB, Target
    from tests.fuzz.targets import TARGETS

#: Address space beyond what is there before the first input; what asks for more gets a MemoryError.
ROOM = 1024 * MIB


class Watch:
    """Runs inputs, and notes what should not be."""

    def __init__(self, target: Target, findings: Path) -> None:
        self._target = target
        self._findings = findings
        self._seen: set[str] = set()

    def run(self, data: bytes) -> None:
        """One input."""
        before = peak_memory()
        try:
            self._target.run(data)
        except Exception as error:  # noqa: BLE001 - whatever comes out is what we are looking for
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._note(f"{type(error).__name__}-{Path(where.filename).stem}-{where.lineno}", data)
        if peak_memory() - before > self._target.memory:
            self._note(f"memory-{(peak_memory() - before) // MIB}-MiB", data)

    def _note(self, kind: str, data: bytes) -> None:
        if kind in self._seen:
            return
        self._seen.add(kind)
        name = f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
        (self._findings / name).write_bytes(data)
        (self._findings / f"{name}.txt").write_text(traceback.format_exc())


def peak_memory() -> int:
    """The most bytes this process ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    name, findings, *options = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    watch = Watch(TARGETS[name], Path(findings))
    size = re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert size is not None
    resource.setrlimit(resource.RLIMIT_AS, (int(size[1]) * 1024 + ROOM,) * 2)
    atheris.Setup([sys.argv[0], *options], watch.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
