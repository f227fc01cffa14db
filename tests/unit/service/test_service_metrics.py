"""Metrics and health: every figure appears under its name, read by Prometheus's own parser."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from litefleet.errors import ConfigError
from litefleet.replicate.figures import Figures, Level
from litefleet.service.metrics import Metrics, _Process, serving
from tests.support.natsserver import free_ports
from tests.unit.service.standin import Answer, Fleet, ask

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: bytes) -> Samples:
    """By name and labels; a sample that is there twice, which a server refuses, is an error."""
    found: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"litefleet_{name}", frozenset(labels.items())))


@asynccontextmanager
async def served(fleet: Fleet, metrics: Metrics | None = None) -> AsyncIterator[tuple[str, int]]:
    where = ("127.0.0.1", free_ports(1)[0])
    async with serving(f"{where[0]}:{where[1]}", fleet, metrics or Metrics()):
        yield where


async def scrape(where: tuple[str, int]) -> Samples:
    answer = await ask(where, "GET", "/metrics")
    assert answer.status == 200
    return samples(answer.body)


BUSY = Figures(
    Path("/data/busy.db"), "nats://h/busy", state="outage", problem="Connection refused", wal_alarm="pid 7 reads",
    captured_txid=12, acknowledged_txid=9, acknowledged_at=1.5e9, pending_since=1.6e9, db_bytes=4096, wal_bytes=8192,
    spool_bytes=300, spool_files=3, open=True, levels={0: Level(4, 1000), 9: Level(1, 90000)},
    errors=Counter({"ServerUnreachable": 5}), done=Counter({"uploads": 7, "upload_bytes": 7000, "odd_things": 2}),
)  # fmt: skip


async def test_every_figure_of_a_database() -> None:
    async with served(Fleet([BUSY, Figures(Path("/data/idle.db"), "nats://h/idle", state="replicating")])) as where:
        before = time.time()
        found = await scrape(where)
        after = time.time()
    lag = value(found, "lag_seconds", db="/data/busy.db")
    assert lag is not None
    assert before - 1.6e9 <= lag <= after - 1.6e9
    expected = {
        "captured_txid": 12, "acknowledged_txid": 9, "acknowledged_timestamp_seconds": 1.5e9, "pending": 1,
        "db_bytes": 4096, "wal_bytes": 8192, "spool_bytes": 300, "spool_files": 3, "open": 1, "wal_alarm": 1,
        "uploads_total": 7, "upload_bytes_total": 7000, "odd_things_total": 2, "snapshots_total": 0,
    }  # fmt: skip
    assert {name: value(found, name, db="/data/busy.db") for name in expected} == expected
    assert all(not value(found, name, db="/data/idle.db") for name in [*expected, "lag_seconds"])
    states = {state: value(found, "state", db="/data/busy.db", state=state) for state in ("outage", "replicating")}
    assert states == {"outage": 1, "replicating": 0}
    assert value(found, "objects", db="/data/busy.db", level="9") == 1
    assert value(found, "object_bytes", db="/data/busy.db", level="0") == 1000
    assert value(found, "errors_total", db="/data/busy.db", kind="ServerUnreachable") == 5
    assert value(found, "databases") == 2


async def test_figures_are_read_when_somebody_asks() -> None:
    figures = Figures(Path("/data/app.db"), "nats://h/app")
    fleet = Fleet([figures])
    async with served(fleet) as where:
        first = await scrape(where)
        figures.captured_txid = 5
        fleet.known.append(Figures(Path("/data/new.db"), "nats://h/new"))
        second = await scrape(where)
    assert value(first, "captured_txid", db="/data/app.db") == 0
    assert value(second, "captured_txid", db="/data/app.db") == 5
    assert value(first, "captured_txid", db="/data/new.db") is None
    assert value(second, "captured_txid", db="/data/new.db") == 0


async def test_durations_are_histograms_by_kind() -> None:
    metrics = Metrics()
    for seconds in (0.0004, 0.003, 0.003, 7.0, 400.0):
        metrics.observe("upload", seconds)
    metrics.observe("write_lock", 0.02)
    async with served(Fleet(), metrics) as where:
        found = await scrape(where)
    bounds = {"0.0005": 1, "0.0025": 1, "0.005": 3, "5.0": 3, "10.0": 4, "60.0": 4, "+Inf": 5}
    assert {le: value(found, "duration_seconds_bucket", kind="upload", le=le) for le in bounds} == bounds
    assert value(found, "duration_seconds_count", kind="write_lock") == 1
    assert value(found, "duration_seconds_sum", kind="write_lock") == 0.02


async def test_what_runs_and_since_when() -> None:
    fleet = Fleet(started=1.7e9)
    async with served(fleet) as where:
        found = await scrape(where)
    assert value(found, "start_time_seconds") == 1.7e9
    (build,) = [dict(labels) for name, labels in found if name == "litefleet_build_info"]
    assert build.keys() == {"version", "sqlite", "python"}
    rss = found["process_resident_memory_bytes", frozenset()]
    assert rss > 1e6


def test_the_process_is_measured_where_only_its_own_part_of_proc_is_seen(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("/proc/self")
    found = {metric.name: metric.samples[0].value for metric in _Process(proc=str(tmp_path), registry=None).collect()}
    assert found["process_open_fds"] > 2
    assert abs(found["process_start_time_seconds"] - Path(f"/proc/{os.getpid()}").stat().st_ctime) < 60


@given(st.lists(st.text(st.characters(exclude_characters="\0/")).map(lambda name: Path("/") / f"x{name}"), unique=True))
def test_any_path_is_a_label_of_its_own(paths: list[Path]) -> None:
    """Also paths that are not UTF-8, which Python has as lone surrogates."""
    figures = [Figures(path, "nats://h/b", captured_txid=number) for number, path in enumerate(paths, 1)]
    found = samples(Metrics().text(figures, started=0, now=0))
    txids = [number for (name, _), number in found.items() if name == "litefleet_captured_txid"]
    assert sorted(txids) == list(range(1, len(paths) + 1))


async def test_a_scrape_may_be_compressed() -> None:
    async with served(Fleet([BUSY])) as where:
        answer = await ask(where, "GET", "/metrics", Accept_Encoding="gzip")
    assert answer.fields["Content-Encoding"] == "gzip"
    assert value(samples(gzip.decompress(answer.body)), "captured_txid", db="/data/busy.db") == 12


async def test_figures_that_change_during_a_scrape_do_no_harm() -> None:
    """What is written out in a thread is how things were when it began; the loop goes on meanwhile."""
    one = Figures(Path("/data/app.db"), "nats://h/b", captured_txid=1, done=Counter({"uploads": 1}))
    one.levels[0] = Level(1, 10)
    began, changed = threading.Event(), threading.Event()

    class Slow(Metrics):
        def text(self, figures: Sequence[Figures], *, started: float, now: float) -> bytes:
            began.set()
            assert changed.wait(30)
            return super().text(figures, started=started, now=now)

    async with served(Fleet([one]), Slow()) as where, asyncio.TaskGroup() as tasks:
        scraping = tasks.create_task(scrape(where))
        assert await asyncio.to_thread(began.wait, 30)
        one.captured_txid = 2
        one.errors["E"] = one.done["uploads"] = 2
        one.levels[0].objects = 2
        changed.set()
    found = scraping.result()
    assert value(found, "captured_txid", db="/data/app.db") == 1
    assert value(found, "uploads_total", db="/data/app.db") == 1
    assert value(found, "objects", db="/data/app.db", level="0") == 1
    assert value(found, "errors_total", db="/data/app.db", kind="E") is None


@pytest.mark.parametrize("state", ["starting", "replicating", "waiting", "stopped"])
async def test_health_is_good_unless_something_is_lost(state: str) -> None:
    async with served(Fleet([Figures(Path("/data/app.db"), "nats://h/b", state=state)])) as where:  # type: ignore[arg-type]
        answer = await ask(where, "GET", "/healthz")
    assert (answer.status, answer.json()) == (200, [])


async def test_health_names_what_is_wrong() -> None:
    well = Figures(Path("/data/well.db"), "nats://h/b", state="replicating")
    failed = Figures(Path("/data/failed.db"), "nats://h/c", state="failed", problem="belongs to another database")
    async with served(Fleet([well, BUSY, failed])) as where:
        answer = await ask(where, "GET", "/healthz")
    assert answer.status == 503
    assert answer.json() == [
        {"database": "/data/busy.db", "state": "outage", "problem": "Connection refused"},
        {"database": "/data/failed.db", "state": "failed", "problem": "belongs to another database"},
    ]


class TestAddresses:
    """What cannot be had is said before anything starts."""

    async def test_a_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            addr = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(ConfigError, match=rf"{addr}: another process listens there; .*another port"):
                async with serving(addr, Fleet(), Metrics()):
                    pass

    @pytest.mark.parametrize(
        ("addr", "what"), [("192.0.2.1:9090", "no such address"), ("no-such-host.invalid:9090", "cannot be resolved")]
    )
    async def test_an_address_of_somebody_else(self, addr: str, what: str) -> None:
        with pytest.raises(ConfigError, match=what):
            async with serving(addr, Fleet(), Metrics()):
                pass

    async def test_only_a_port_means_every_address(self) -> None:
        (port,) = free_ports(1)
        async with serving(f":{port}", Fleet(), Metrics()):
            assert (await ask(("127.0.0.1", port), "GET", "/healthz")).status == 200

    async def test_the_port_is_free_again_afterwards(self) -> None:
        (port,) = free_ports(1)
        for _ in range(2):
            async with serving(f"127.0.0.1:{port}", Fleet(), Metrics()):
                assert (await ask(("127.0.0.1", port), "GET", "/healthz")).status == 200

    async def test_an_error_of_the_block_is_the_blocks_own(self) -> None:
        with pytest.raises(OSError, match="mine"):
            async with served(Fleet()):
                raise OSError("mine")


def refused(answer: Answer) -> tuple[int, str]:
    assert answer.fields["Content-Type"] == "application/json"
    return answer.status, answer.json()["error"]


async def test_other_paths_and_methods_are_refused() -> None:
    async with served(Fleet()) as where:
        assert refused(await ask(where, "GET", "/debug/pprof/")) == (404, "no such path; there are /metrics, /healthz")
        answer = await ask(where, "POST", "/metrics", b"{}")
        assert refused(answer) == (405, "/metrics takes GET")
        assert answer.fields["Allow"] == "GET"
