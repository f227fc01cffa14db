"""Buckets: each thing that the agent needs of one is really tried, over one connection for all of a server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from itertools import chain

from litefleet.bucket.lease import Lease, read_lease
from litefleet.config.settings import Database, Server
from litefleet.doctor.finding import Finding, by_gravity
from litefleet.doctor.permissions import GRANT, check_permissions
from litefleet.doctor.probe import check_objects, check_round_trip
from litefleet.doctor.stream import check_account, check_clock, check_durability, check_room, check_settings
from litefleet.doctor.together import together
from litefleet.errors import NatsError, PermissionDenied, RequestFailed
from litefleet.nats.causes import NobodyAnswers
from litefleet.nats.connection import Connection
from litefleet.nats.jetstream import JetStreamRefused, Names, api_request, parse
from litefleet.nats.metadata import parse_time
from litefleet.nats.objects import ObjectStore

#: Tells of streams that are deleted or made anew.
ADVISORIES = "$JS.EVENT.ADVISORY.>"
ACCOUNT = "$JS.API.INFO"


async def check_buckets(
    server: Server, databases: Sequence[Database], *, host: str, read_only: bool = False
) -> list[Finding]:
    """Everything about the buckets of ``databases``, which are all on ``server``; ``host`` is our name in leases.

    With ``read_only`` only what a restore needs is checked.
    """
    buckets: dict[str, list[Database]] = {}
    for database in databases:
        buckets.setdefault(database.replica.bucket, []).append(database)
    try:
        async with Connection.open(server, name="litefleet doctor") as connection:
            await connection.watch(ADVISORIES, lambda _subject, _data: None)
            checks = [_Check(connection, bucket, rows, host, read_only=read_only) for bucket, rows in buckets.items()]
            findings = await _server(connection, checks[0].names, read_only=read_only)
            found = await together([check.run for check in checks])
    except NatsError as error:
        what = f"{len(buckets)} bucket{'' if len(buckets) == 1 else 's'}"
        return [Finding("problem", "bucket", what, f"not checked: {error.message}", error.hint)]
    findings += by_gravity(check.clock for check in checks if check.clock is not None)[:1]
    return findings + list(chain.from_iterable(found))


async def _server(connection: Connection, names: Names, *, read_only: bool) -> list[Finding]:
    """What is the same for all buckets: the account's room, and news of lost buckets."""
    what = f"account on {connection.connected_url}"
    findings: list[Finding] = []
    try:
        findings += check_account(what, parse(await connection.request(ACCOUNT), names, connection))
    except PermissionDenied as error:
        if "subscribe to" in error.message:
            return []  # each bucket says it
        detail = f"its limits are not known: the user may not publish to `{ACCOUNT}`"
        findings.append(Finding("note", "room", what, detail, "allow it to have the account's room checked too"))
    except (JetStreamRefused, NobodyAnswers) as error:
        findings.append(Finding("problem", "server", what, error.message, error.hint))
    except RequestFailed as error:
        # Without a leader of the metadata nobody answers; backups go on.
        findings.append(Finding("warning", "room", what, error.message, error.hint))
    # The server answers in order: had it refused the subscription, that would have come before the reply.
    if not read_only and not connection.watching(ADVISORIES):
        detail = f"the user may not subscribe to `{ADVISORIES}`: a lost bucket is noticed by looking only, not at once"
        findings.append(Finding("warning", "permission", what, detail, GRANT))
    return findings


class _Check:
    """One bucket."""

    def __init__(
        self, connection: Connection, bucket: str, databases: Sequence[Database], host: str, *, read_only: bool
    ) -> None:
        self.findings: list[Finding] = []
        #: The clock of the server that answered.
        self.clock: Finding | None = None
        self.names = Names(bucket)
        self._connection = connection
        self._bucket = bucket
        self._what = f"bucket {bucket}"
        self._databases = databases
        self._host = host
        self._read_only = read_only

    async def run(self) -> list[Finding]:
        """All that is found; ends at the first thing that is refused."""
        try:
            await self._run()
        except NatsError as error:
            self.findings.append(Finding("problem", "bucket", self._what, error.message, error.hint))
        return self.findings

    async def _run(self) -> None:
        permissions = await check_permissions(self._connection, self._bucket, read_only=self._read_only)
        self.findings += permissions
        found = await self._stream()
        if not found or any(finding.status == "problem" for finding in permissions):
            return
        for database in self._databases:
            self.findings.append(await self._lease(database))
        root = ObjectStore(self._connection, self._bucket)
        self.findings.append(await check_objects(root, read_only=self._read_only))
        # Into a bucket that is full, another's or no object store nothing is written.
        if not self._read_only and all(finding.status != "problem" for finding in self.findings):
            store = ObjectStore(self._connection, self._bucket, self._databases[0].replica.path)
            self.findings.append(await check_round_trip(store, self._connection.server.timeout))

    async def _stream(self) -> bool:
        """What STREAM.INFO tells; False if it tells nothing."""
        before = time.time()
        try:
            info = await api_request(self._connection, self.names, "INFO")
        except PermissionDenied:
            return False  # that finding is there
        after = time.time()
        with contextlib.suppress(ValueError):
            skew = parse_time(str(info.get("ts", ""))).timestamp() - (before + after) / 2
            cluster = info.get("cluster")
            leader = cluster.get("leader") if isinstance(cluster, dict) else None
            what = f"clock of {leader or self._connection.connected_url}"
            self.clock = check_clock(what, skew, after - before)
        self.findings += check_settings(self.names, info, max_payload=self._connection.max_payload)
        self.findings += check_durability(self.names, info)
        self.findings.append(check_room(self.names, info))
        return True

    async def _lease(self, database: Database) -> Finding:
        store = ObjectStore(self._connection, self._bucket, database.replica.path)
        what = self._what + (f", path {store.path}" if store.path else "")
        there = await read_lease(store)
        if there is None:
            return Finding("note", "lease", what, "no agent has taken it yet")
        if not there.path:
            return Finding("warning", "lease", what, "the lease cannot be read", "start the agent: it writes it anew")
        ours = await asyncio.to_thread(Lease.of, database.path, self._host)
        if there.same_database(ours):
            return Finding("ok", "lease", what, f"belongs to {there.path} on {there.host}")
        detail = f"belongs to {there.path} on {there.host}, not to {ours.path} on {ours.host}"
        if self._read_only:
            return Finding("note", "lease", what, detail)
        return Finding(
            "problem", "lease", what, detail,
            "give this database a bucket, or a `path:`, of its own; if it took the other's place:"
            " `litefleet replicate --takeover`",
        )  # fmt: skip
