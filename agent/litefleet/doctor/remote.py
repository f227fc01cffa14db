"""Servers and buckets: each thing that the agent needs is really tried."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace

from litefleet.config.settings import Replica, Server
from litefleet.doctor.finding import Finding
from litefleet.errors import LitefleetError
from litefleet.nats.connection import Connection
from litefleet.nats.jetstream import Names, api_request, parse


async def check_server(server: Server, url: str) -> Finding:
    """Whether this one server of the list lets us in, and is new enough."""
    what = f"server {url}"
    try:
        async with Connection.open(replace(server, urls=(url,)), name="litefleet doctor") as connection:
            version = connection.server_version
    except LitefleetError as error:
        return Finding("FAIL", what, error.message, error.hint)
    if tuple(int(part) for part in version.partition("-")[0].split(".")[:2]) < (2, 11):
        return Finding("FAIL", what, f"nats-server {version}", "update it to 2.11 or newer")
    return Finding("ok", what, f"nats-server {version}")


async def check_bucket(replica: Replica) -> list[Finding]:
    """Settings, room, and a probe that is written and purged; ends at the first thing that is refused."""
    what = f"bucket {replica.bucket}"
    findings: list[Finding] = []
    try:
        async with Connection.open(replica.server, name="litefleet doctor") as connection:
            names = Names(replica.bucket)
            info = await api_request(connection, names, "INFO")
            findings.append(_settings(what, info))
            await _probe(connection, names)
            findings.append(Finding("ok", what, "write and purge"))
    except LitefleetError as error:
        findings.append(Finding("FAIL", what, error.message, error.hint))
    return findings


def _settings(what: str, info: dict[str, dict[str, int]]) -> Finding:
    config, used = info["config"], info.get("state", {}).get("bytes", 0)
    missing = [key for key in ("allow_direct", "allow_rollup_hdrs") if not config.get(key)]
    if missing:
        return Finding("FAIL", what, f"without {', '.join(missing)}", "switch it on in the bucket's stream")
    if config.get("max_age", 0):
        return Finding("FAIL", what, "max_age expires backups", "set it to 0; the agent's retention removes files")
    limit = config.get("max_bytes", -1)
    if limit > 0 and used >= 0.8 * limit:
        return Finding("warn", what, f"{used} of {limit} bytes used", "raise max_bytes or shorten the retention")
    return Finding("ok", what, f"settings fit, {used} bytes used")


async def _probe(connection: Connection, names: Names) -> None:
    nuid = f"doctor-{secrets.token_hex(8)}"
    name = f"litefleet/{nuid}"
    subjects = (names.chunks(nuid), names.metadata(name))
    # A deleted object of no size: whoever lists the bucket meanwhile passes over it.
    metadata = {"name": name, "bucket": names.bucket, "nuid": nuid, "size": 0, "chunks": 0, "deleted": True}
    # Purging comes first: without the right to it nothing is written that would stay.
    for subject in subjects:
        await api_request(connection, names, "PURGE", {"filter": subject})
    try:
        for subject, payload in zip(subjects, (b"probe", json.dumps(metadata).encode()), strict=True):
            parse(await connection.request(subject, payload), names, connection)
    finally:
        for subject in subjects:
            await api_request(connection, names, "PURGE", {"filter": subject})
