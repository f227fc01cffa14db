"""``python -m bench``: first full backup and its restore, litefleet against Litestream.

Alternately, several rounds; a wrong restore voids the run. Ratios above 1 are in our favour.
"""

from __future__ import annotations

import argparse
import asyncio
import filecmp
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nats

from bench.data import make_database
from tests.support.natsserver import nats_server

BIN = Path(sys.executable).parent


def timed(*command: str | Path) -> float:
    """Seconds that a command takes; anything but success ends the run."""
    began = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - began


def make_bucket(url: str, name: str) -> None:
    """Create the bucket as operations would."""

    async def create() -> None:
        client = await nats.connect(url)
        await client.jetstream().create_object_store(name)
        await client.close()

    asyncio.run(create())


def one_round(url: str, number: int, source: Path, directory: Path) -> dict[str, float]:
    """Back up and restore with both; returns the seconds of each."""
    seconds: dict[str, float] = {}
    for peer in ("litefleet", "litestream") if number % 2 else ("litestream", "litefleet"):
        bucket, database, output = f"{peer}{number}", directory / f"{peer}.db", directory / f"{peer}-restored.db"
        make_bucket(url, bucket)
        database.write_bytes(source.read_bytes())
        config = directory / f"{peer}.yml"
        config.write_text(f"dbs: [{{path: '{database}', replica: {{type: nats, url: '{url}/{bucket}'}}}}]\n")
        seconds[f"{peer} backup"] = timed(BIN / peer, "replicate", "-config", config, "-once")
        seconds[f"{peer} restore"] = timed(BIN / peer, "restore", "-o", output, f"{url}/{bucket}")
        if not filecmp.cmp(database, output, shallow=False):
            raise SystemExit(f"{peer} restored something else than it backed up")
        for path in (*directory.glob(f"{peer}.db*"), output):
            path.unlink()
    return seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=256, help="size of the database")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, nats_server() as server:
        directory = Path(name)
        source = directory / "source.db"
        make_database(source, options.mebibytes << 20)
        rounds = []
        for number in range(options.rounds):
            rounds.append(one_round(server.url, number, source, directory))
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
        size = source.stat().st_size / 1e6
    print(f"{'work':<24}{'litefleet':>12}{'litestream':>12}{'ratio':>8}   spread")
    median: Callable[[str], float] = lambda key: statistics.median(each[key] for each in rounds)  # noqa: E731
    for work in ("backup", "restore"):
        ours, theirs = median(f"litefleet {work}"), median(f"litestream {work}")
        ratios = sorted(each[f"litestream {work}"] / each[f"litefleet {work}"] for each in rounds)
        label = f"{work} of {size:.0f} MB"
        print(
            f"{label:<24}{ours:>10.2f} s{theirs:>10.2f} s{theirs / ours:>7.2f}x   {ratios[0]:.2f} to {ratios[-1]:.2f}"
        )


if __name__ == "__main__":
    main()
