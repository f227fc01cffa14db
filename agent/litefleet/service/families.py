"""The figures of all databases as metrics; ``db`` is the path of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from litefleet.replicate.figures import Figures, State
from litefleet.service.interface import path_text

_GAUGES: dict[str, tuple[str, Callable[[Figures], float]]] = {
    "acknowledged_txid": ("Newest transaction that the server has acknowledged.", lambda one: one.acknowledged_txid),
    "captured_txid": ("Newest transaction that was read from the WAL.", lambda one: one.captured_txid),
    "acknowledged_timestamp_seconds": (
        "When the newest acknowledged transaction was captured, in Unix time; 0 for none yet.",
        lambda one: one.acknowledged_at,
    ),
    "pending": ("Whether something committed is not acknowledged yet.", lambda one: bool(one.pending_since)),
    "db_bytes": ("Size of the database file.", lambda one: one.db_bytes),
    "wal_bytes": ("Size of the WAL.", lambda one: one.wal_bytes),
    "spool_bytes": ("Bytes that wait in the spool for a server.", lambda one: one.spool_bytes),
    "spool_files": ("Files that wait in the spool for a server.", lambda one: one.spool_files),
    "open": ("Whether the database's files are open; those of an idle one are released.", lambda one: one.open),
    "wal_alarm": ("Whether something keeps the WAL from being reused.", lambda one: bool(one.wal_alarm)),
}
_DONE = {
    "uploads": "LTX files uploaded.",
    "upload_bytes": "Bytes of LTX files uploaded.",
    "checkpoints": "Checkpoints that the agent made.",
    "snapshots": "Snapshots uploaded.",
    "full_copies": "Full copies taken because the WAL could not tell what had changed.",
    "compactions": "Files joined from files of the level below.",
    "removed_objects": "LTX files removed because nothing needs them any more.",
    "swept_uploads": "Uploads removed that a crash had left unfinished.",
}
_STATES: tuple[State, ...] = get_args(State)


def families(figures: Sequence[Figures], now: float) -> Iterator[Metric]:
    """One metric after the other, each with all its databases; ``now`` is in Unix seconds."""
    named = [(path_text(one.path), one) for one in figures]
    lag = GaugeMetricFamily(
        "litefleet_lag_seconds", "How long something committed has waited to be acknowledged.", labels=["db"]
    )
    for db, one in named:
        lag.add_metric([db], one.lag(now))
    yield lag
    for name, (text, value) in _GAUGES.items():
        gauge = GaugeMetricFamily(f"litefleet_{name}", text, labels=["db"])
        for db, one in named:
            gauge.add_metric([db], value(one))
        yield gauge
    state = GaugeMetricFamily("litefleet_state", "1 for the state a database is in.", labels=["db", "state"])
    for db, one in named:
        for word in _STATES:
            state.add_metric([db, word], one.state == word)
    yield state
    yield from _levels(named)
    errors = CounterMetricFamily("litefleet_errors", "Errors by their kind.", labels=["db", "kind"])
    for db, one in named:
        for kind, count in one.errors.items():
            errors.add_metric([db, kind], count)
    yield errors
    yield from _done(named)


def _levels(named: Sequence[tuple[str, Figures]]) -> Iterator[Metric]:
    objects = GaugeMetricFamily("litefleet_objects", "LTX files in the bucket, by level.", labels=["db", "level"])
    sizes = GaugeMetricFamily("litefleet_object_bytes", "Bytes in the bucket, by level.", labels=["db", "level"])
    for db, one in named:
        for number, level in sorted(one.levels.items()):
            objects.add_metric([db, str(number)], level.objects)
            sizes.add_metric([db, str(number)], level.bytes)
    yield from (objects, sizes)


def _done(named: Sequence[tuple[str, Figures]]) -> Iterator[Metric]:
    """What is known is always there, so that a rate can be taken from the first time on."""
    for key in dict.fromkeys([*_DONE, *(key for _, one in named for key in sorted(one.done))]):
        counter = CounterMetricFamily(f"litefleet_{key}", _DONE.get(key, f"Count of {key}."), labels=["db"])
        for db, one in named:
            counter.add_metric([db], one.done[key])
        yield counter
