"""Metrics for Prometheus, and a health check, over HTTP.

The figures of the databases are read when somebody asks, so that an idle database costs nothing in between.
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import platform
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus

import apsw
from prometheus_client import CollectorRegistry, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from litefleet import __version__
from litefleet.errors import ConfigError
from litefleet.replicate.figures import Figures
from litefleet.service.families import families
from litefleet.service.interface import FleetLike, path_text
from litefleet.service.pace import paced
from litefleet.service.web import Request, Response, Routes, answering

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Seconds: from an upload on the same host to a full copy over a slow link.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_UNWELL = ("failed", "outage")


class Metrics:
    """What is measured as it happens; figures of the databases are added when it is written out."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._durations = Histogram(
            "litefleet_duration_seconds", "What work took, by its kind.", ["kind"],
            registry=self._registry, buckets=_BUCKETS,
        )  # fmt: skip
        self._kinds: dict[str, Histogram] = {}
        _Process(registry=self._registry)

    def observe(self, kind: str, seconds: float) -> None:
        """An ``Observer``: work of this kind took so long. Any thread may call it."""
        histogram = self._kinds.get(kind)
        if histogram is None:
            histogram = self._kinds[kind] = self._durations.labels(kind)
        histogram.observe(seconds)

    def text(self, figures: Sequence[Figures], *, started: float, now: float) -> bytes:
        """All of it, in Prometheus's text format; ``figures`` must not change meanwhile."""
        return generate_latest(_Everything(self._registry, figures, started, now))


@asynccontextmanager
async def serving(addr: str, fleet: FleetLike, metrics: Metrics) -> AsyncIterator[None]:
    """Serve ``/metrics`` and ``/healthz`` on ``HOST:PORT`` while the block runs.

    Raises ConfigError if that address cannot be had.
    """
    rendering = asyncio.Lock()

    async def scrape(request: Request) -> Response:
        async with rendering:
            # Thousands of databases are seconds of work for a thread; the figures go on changing meanwhile.
            figures = [_copy(one) async for one in paced(fleet.figures())]
            render = partial(metrics.text, figures, started=fleet.started, now=time.time())
            zipped = "gzip" in request.fields.get("accept-encoding", "")
            body = await asyncio.to_thread(lambda: gzip.compress(render(), 1) if zipped else render())
        return Response(HTTPStatus.OK, body, _CONTENT_TYPE, ("Content-Encoding: gzip",) if zipped else ())

    async def health(_: Request) -> Response:
        problems = [
            {"database": path_text(one.path), "state": one.state, "problem": one.problem}
            for one in fleet.figures()
            if one.state in _UNWELL
        ]
        return Response.of(problems, HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK)

    host, _, port = addr.rpartition(":")
    routes: Routes = {"/metrics": {"GET": scrape}, "/healthz": {"GET": health}}
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(_listening(host.strip("[]"), int(port), routes))
        except OSError as error:
            raise _unusable(addr, error) from None
        yield


@asynccontextmanager
async def _listening(host: str, port: int, routes: Routes) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(answering(routes, host=host or None, port=port))
        except OSError as error:
            if host or error.errno != errno.EADDRNOTAVAIL:
                raise
            # Every address was meant, but IPv6 is switched off.
            await stack.enter_async_context(answering(routes, host="0.0.0.0", port=port))  # noqa: S104
        yield


def _unusable(addr: str, error: OSError) -> ConfigError:
    reasons = {
        errno.EADDRINUSE: ("another process listens there", "stop it, or give `addr` another port"),
        errno.EADDRNOTAVAIL: ("this host has no such address", "give `addr` one of the host's own, or only `:PORT`"),
        errno.EACCES: ("not permitted", "give `addr` a port of 1024 or more"),
    }
    if isinstance(error, socket.gaierror):
        what, hint = "this host name cannot be resolved", "give `addr` an IP address, or only `:PORT`"
    else:
        what, hint = reasons.get(error.errno or 0, (error.strerror or str(error), "give `addr` another address"))
    return ConfigError(f"Metrics cannot be served on {addr}: {what}", hint=hint)


class _Process(ProcessCollector):
    def _boot_time(self) -> float:
        # Not from /proc/stat, which a service that sees only its own processes does not have.
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class _Everything(Collector):
    """What one scrape sees."""

    def __init__(self, registry: CollectorRegistry, figures: Sequence[Figures], started: float, now: float) -> None:
        self._registry = registry
        self._figures = figures
        self._started = started
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Every metric, one after the other, so that not all samples are in memory at once."""
        build = GaugeMetricFamily("litefleet_build_info", "What is running.", labels=["version", "sqlite", "python"])
        build.add_metric([__version__, apsw.sqlite_lib_version(), platform.python_version()], 1)
        yield build
        yield GaugeMetricFamily("litefleet_start_time_seconds", "When the agent started, in Unix time.", self._started)
        yield GaugeMetricFamily("litefleet_databases", "Databases that are replicated.", len(self._figures))
        yield from families(self._figures, self._now)
        yield from self._registry.collect()


def _copy(figures: Figures) -> Figures:
    return replace(
        figures,
        levels={number: replace(level) for number, level in figures.levels.items()},
        errors=figures.errors.copy(),
        done=figures.done.copy(),
    )
