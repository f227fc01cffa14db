"""Replicate the databases of a program while it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from litefleet.api.options import PathLike, ReplicaLike, absolute, configuration
from litefleet.api.process import AgentProcess
from litefleet.cli.agent import ask
from litefleet.errors import AgentUnreachable, LitefleetError, NotDurable, UsageError

log = logging.getLogger("litefleet.api")

#: Seconds beyond what the configuration gives it that the agent may take to end.
_GRACE = 30.0
#: Seconds in which a process that does not listen any more ends.
_END = 5.0


@dataclass(frozen=True, slots=True)
class Status:
    """How a database is right now; moments with their zone, ``lag`` in seconds."""

    path: Path
    #: The replica's URL, without secrets.
    replica: str
    #: ``starting``, ``replicating``, ``waiting`` (for the file), ``outage``, ``failed`` or ``stopped``.
    state: str
    problem: str
    wal_alarm: str
    #: 0 for none yet.
    acknowledged_txid: int
    acknowledged_at: datetime | None
    #: Whether something committed is not acknowledged yet, and for how long.
    pending: bool
    lag: float
    #: Everything that the control socket tells.
    figures: Mapping[str, Any] = field(repr=False)


class Replica:
    """The databases that a ``Replicator`` replicates, for programs with asyncio."""

    def __init__(self, agent: AgentProcess) -> None:
        self._agent = agent

    async def wait_durable(self, path: PathLike | None = None, *, timeout: float = 30.0) -> None:
        """Until all that was committed at the call is acknowledged, in ``path`` or in every database.

        Raises NotDurable if it is not within ``timeout`` seconds, at most 3600; what went wrong is in its message.
        """
        body: dict[str, Any] = {"wait": True, "timeout": timeout}
        if path is not None:
            body["path"] = str(absolute(path))
        try:
            await self._ask("POST", "/sync", body, wait=timeout)
        except AgentUnreachable:
            raise
        except LitefleetError as error:
            kind = UsageError if error.exit_code == UsageError.exit_code else NotDurable
            raise kind(error.message, hint=error.hint) from None

    async def status(self) -> list[Status]:
        """One for each database."""
        answer = await self._ask("GET", "/status")
        return [_status(figures) for figures in answer["databases"]]

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, wait: float = 0.0
    ) -> dict[str, Any]:
        assert self._agent.socket is not None
        try:
            return await ask(self._agent.socket, method, path, body, wait=wait)
        except AgentUnreachable:
            # Why it has ended says more than that it does not listen.
            ended = asyncio.shield(asyncio.wrap_future(self._agent.ended))
            await asyncio.wait([ended], timeout=_END)
            if ended.done():
                raise ended.result() or NotDurable("The agent has ended") from None
            raise


class BlockingReplica:
    """The databases that a ``Replicator`` replicates, for threads without a running event loop."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def wait_durable(self, path: PathLike | None = None, *, timeout: float = 30.0) -> None:
        """See ``Replica.wait_durable``."""
        asyncio.run(self._replica.wait_durable(path, timeout=timeout))

    def status(self) -> list[Status]:
        """One for each database."""
        return asyncio.run(self._replica.status())


class Replicator:
    """An agent for the databases of a program, while an ``async with`` or ``with`` block runs.

    It is for one use. ``databases`` has a replica for each path: its URL, or what stands under ``replica`` in the
    configuration file. ``options`` are keys of that file with ``_`` for ``-``: those of an entry of ``dbs`` are for
    every database. Nothing in them is looked up in the environment.

    The block begins when every database is followed, or it is known why it is not: a server that does not answer yet is
    waited for in the background. Raises ConfigError, or what keeps all databases from their buckets. At its end the
    last transactions are sent; NotDurable is raised if they are not acknowledged, unless the block itself has failed.
    """

    def __init__(
        self,
        databases: Mapping[PathLike, ReplicaLike],
        *,
        takeover: bool = False,
        ready_timeout: float = 300.0,
        **options: object,
    ) -> None:
        """``takeover`` takes buckets of other hosts or databases. Raises UsageError."""
        self._agent = AgentProcess(configuration(databases, options), takeover=takeover)
        self._ready_timeout = ready_timeout

    async def __aenter__(self) -> Replica:
        try:
            await asyncio.to_thread(self._agent.start)
            async with asyncio.timeout(self._ready_timeout):
                error = await asyncio.shield(asyncio.wrap_future(self._agent.ready))
        except TimeoutError:
            self._agent.kill()
            raise self._not_ready() from None
        except BaseException:
            self._agent.kill()
            raise
        if error is not None:
            raise error
        return Replica(self._agent)

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._agent.stop()
        try:
            async with asyncio.timeout(self._patience()):
                error = await asyncio.shield(asyncio.wrap_future(self._agent.ended))
        except TimeoutError:
            self._agent.kill()
            error = self._not_ended()
        except BaseException:
            self._agent.kill()
            raise
        _report(error, value)

    def __enter__(self) -> BlockingReplica:
        try:
            self._agent.start()
            error = self._agent.ready.result(self._ready_timeout)
        except TimeoutError:
            self._agent.kill()
            raise self._not_ready() from None
        except BaseException:
            self._agent.kill()
            raise
        if error is not None:
            raise error
        return BlockingReplica(Replica(self._agent))

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._agent.stop()
        try:
            error = self._agent.ended.result(self._patience())
        except TimeoutError:
            self._agent.kill()
            error = self._not_ended()
        except BaseException:
            self._agent.kill()
            raise
        _report(error, value)

    def _patience(self) -> float:
        return self._agent.settings.shutdown_sync_timeout + _GRACE

    def _not_ready(self) -> LitefleetError:
        return LitefleetError(f"The agent was not ready within {self._ready_timeout:g} s", hint="its log may say why")

    def _not_ended(self) -> LitefleetError:
        return NotDurable(f"The agent did not end within {self._patience():g} s", hint="its log may say why")


def replicating(
    path: PathLike,
    replica: ReplicaLike,
    *,
    takeover: bool = False,
    ready_timeout: float = 300.0,
    **options: object,
) -> Replicator:
    """``Replicator`` for one database."""
    return Replicator({path: replica}, takeover=takeover, ready_timeout=ready_timeout, **options)


def _report(error: LitefleetError | None, failure: BaseException | None) -> None:
    """Raise, but not over what has ended the block already."""
    if error is not None and failure is None:
        raise error
    if error is not None:
        log.error("%s", error)


def _status(figures: Mapping[str, Any]) -> Status:
    moment = figures["acknowledged_at"]
    return Status(
        path=Path(figures["path"]),
        replica=figures["replica"],
        state=figures["state"],
        problem=figures["problem"],
        wal_alarm=figures["wal_alarm"],
        acknowledged_txid=int(figures["acknowledged_txid"] or "0", 16),
        acknowledged_at=None if moment is None else datetime.fromisoformat(moment),
        pending=figures["pending"],
        lag=figures["lag"],
        figures=figures,
    )
