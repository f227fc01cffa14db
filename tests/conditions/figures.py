"""What metrics tell while things go wrong."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.conditions.scene import Condition, Scene, Seen, bucket, comes_true, commit, stop, subjects
from tests.support.natsserver import free_ports, nats_server

Samples = list[Sample]


def _scrape(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text = response.read().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _named(samples: Samples, *words: str, database: str = "") -> Iterator[Sample]:
    """Samples of the program itself whose names hold all the words."""
    for sample in samples:
        own = sample.name.startswith(("litefleet_", "litestream_")) and all(word in sample.name for word in words)
        if own and (not database or any(database in value for value in sample.labels.values())):
            yield sample


def outage_in_metrics(scene: Scene) -> Seen:
    """Two databases, of which one has a commit waiting for a server that is gone."""
    port = free_ports(1)[0]
    with nats_server() as server:
        replicas = {}
        for name in ("a", "b"):
            bucket(server.url, name)
            replicas[scene.database(f"{name}.db")] = scene.where(server.url, name)
        with scene.daemon(scene.config(replicas, addr=f"127.0.0.1:{port}")) as process:
            for name in ("a", "b"):
                comes_true(lambda name=name: bool(subjects(server.url, name)))  # type: ignore[misc]
            process.wait_quietly(3)
            server.stop()
            commit(scene.directory / "a.db")
            process.wait_quietly(15)
            samples = _scrape(port)
            server.start()
            later = comes_true(lambda: not any(one.value > 0 for one in _lags(_scrape(port), "a.db")), 20)
            stop(process)
    lags = {name: max((one.value for one in _lags(samples, f"{name}.db")), default=None) for name in ("a", "b")}
    lag = bool(lags["a"]) and lags["b"] == 0 and later
    errors = sum(one.value for one in _named(samples, "error") if "nats" in str(one.labels).lower() or scene.ours)
    timed = sum(one.value for one in _named(samples, "seconds_count"))
    words = (
        f"lag {'of each database' if lag else 'none'}, {errors:.0f} NATS errors, {timed:.0f} operations timed, "
        "after 15 s of an outage"
    )
    return Seen(lag and errors > 0 and timed > 0, words)


def _lags(samples: Samples, database: str) -> list[Sample]:
    return list(_named(samples, "lag", database=database))


CONDITIONS = (
    Condition(
        827,
        "Metrics in an outage: the lag of a database, NATS errors, durations",
        outage_in_metrics,
        waiting=True,
    ),
)
