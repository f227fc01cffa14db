"""``python -m tests.fuzz``: feed each reader of foreign bytes with inputs that atheris makes of real ones.

Prints a line for each target, and a table at the end. The exit code is 1 if a target let anything but its declared
errors out, kept more memory than it may, took too long for an input, or ended early.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.seeds import seeds
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
#: Seconds that one input may take.
SLOWEST = 20
_STATISTIC = re.compile(r"stat::(\w+):\s+(\d+)")
_COVERAGE = re.compile(r"#\d+\s+\w+\s+cov: (\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One target's run; times in seconds."""

    name: str
    wanted: int
    inputs: int
    took: float
    #: MiB.
    peak: int
    #: Branches of the program that were reached.
    reached: int
    findings: tuple[Path, ...]
    #: The end of the process's own output, when it ended in another way than it should.
    broken: str

    @property
    def good(self) -> bool:
        return not self.findings and not self.broken

    def row(self) -> str:
        return line(
            self.name, f"{self.inputs:,}", f"{self.inputs / self.took:,.0f}", f"{self.peak} MiB",
            f"{self.reached:,}", str(len(self.findings) + bool(self.broken)),
        )  # fmt: skip


def line(name: str, *cells: str) -> str:
    """One row of the table."""
    return f"{name:<20}" + "".join(f"{cell:>12}" for cell in cells)


HEAD = line("target", "inputs", "inputs/s", "peak RSS", "branches", "failures")


def fuzz(target: Target, wanted: int, directory: Path, options: argparse.Namespace) -> Outcome:
    """Run a target in a process of its own until it had the wanted number of inputs, or its time is up."""
    corpus, findings = directory / "corpus" / target.name, directory / "findings" / target.name
    for old in findings.iterdir():
        old.unlink()
    command: list[str | Path] = [
        sys.executable, "-m", "tests.fuzz.child", target.name, findings,
        f"-runs={wanted}", f"-max_total_time={options.seconds}", f"-timeout={SLOWEST}", f"-max_len={target.longest}",
        f"-artifact_prefix={findings}/", f"-seed={options.seed}", "-print_final_stats=1", "-rss_limit_mb=0", corpus,
    ]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    took = time.monotonic() - began
    found = {name: int(value) for name, value in _STATISTIC.findall(done.stderr)}
    inputs = found.get("number_of_executed_units", 0)
    short = inputs < wanted and not options.seconds
    outcome = Outcome(
        name=target.name,
        wanted=wanted,
        inputs=inputs,
        took=took,
        peak=found.get("peak_rss_mb", 0),
        reached=max((int(value) for value in _COVERAGE.findall(done.stderr)), default=0),
        findings=tuple(sorted(path for path in findings.iterdir() if path.suffix != ".txt")),
        broken=done.stderr[-2000:] if done.returncode or short else "",
    )
    print(outcome.row(), flush=True)
    return outcome


def prepare(directory: Path) -> None:
    """Put the seeds into the corpora, beside what earlier runs have found there."""
    for name, inputs in seeds().items():
        corpus = directory / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        (directory / "findings" / name).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (corpus / f"seed-{number}").write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000_000, help="for all targets together (%(default)s)")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one; repeatable")
    parser.add_argument("--seconds", type=int, default=0, help="end each target after so long (never)")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for a run that can be repeated (a random one)")
    parser.add_argument("--directory", type=Path, default=ROOT / ".cache/fuzz", help="corpora and findings")
    options = parser.parse_args()
    directory = options.directory.resolve()
    prepare(directory)
    targets = [TARGETS[name] for name in options.target or TARGETS]
    whole = sum(target.share for target in targets)
    wanted = {target.name: -int(-options.inputs * target.share // whole) for target in targets}
    print(HEAD, flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda target: fuzz(target, wanted[target.name], directory, options), targets))
    report(outcomes)
    return 0 if all(outcome.good for outcome in outcomes) else 1


def report(outcomes: list[Outcome]) -> None:
    """The closing table, and where to look."""
    failures = sum(len(outcome.findings) + bool(outcome.broken) for outcome in outcomes)
    inputs, took = sum(outcome.inputs for outcome in outcomes), sum(outcome.took for outcome in outcomes)
    peak, reached = max(outcome.peak for outcome in outcomes), sum(outcome.reached for outcome in outcomes)
    print(f"\n{HEAD}")
    for outcome in outcomes:
        print(outcome.row())
    cells = (f"{inputs:,}", f"{inputs / took:,.0f}", f"{peak} MiB", f"{reached:,}", str(failures))
    print(line(f"all {len(outcomes)}", *cells))
    for outcome in outcomes:
        for path in outcome.findings:
            print(f"\n{outcome.name}: {path}")
            trace = path.with_name(f"{path.name}.txt")
            print(trace.read_text() if trace.exists() else "no traceback: it took too long, or ended the process")
        if outcome.broken:
            print(f"\n{outcome.name} ended early:\n{outcome.broken}")


if __name__ == "__main__":
    sys.exit(main())
