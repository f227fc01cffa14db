"""The settings of a bucket: read, compared and changed in place, never deleted or made anew."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from litefleet.errors import BucketNotFound, BucketUnusable, ConfigError, RequestFailed, ServerUnreachable
from litefleet.nats.connection import Connection
from litefleet.nats.jetstream import Names, api_request

NANOSECONDS = 1_000_000_000
#: Seconds to wait for a stream that moves to other servers, and between two looks at it.
MOVE_TIMEOUT = 120.0
MOVE_POLL = 0.2


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """What a user chooses about a bucket; sizes in bytes, times in seconds."""

    name: str
    replicas: int = 1
    #: ``file`` or ``memory``.
    storage: str = "file"
    #: -1 is without limit of its own.
    max_bytes: int = -1
    #: 0 keeps objects until retention purges them; anything else silently expires snapshots.
    max_age: float = 0.0
    compression: bool = False
    description: str = ""
    placement_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What ``apply`` did, or would do."""

    before: BucketSettings | None
    after: BucketSettings
    changed: bool
    created: bool


async def read(connection: Connection, name: str) -> BucketSettings | None:
    """The settings of a bucket; None if it does not exist."""
    found = await _info(connection, Names(name))
    return None if found is None else _settings(name, found["config"])


async def apply(connection: Connection, wanted: BucketSettings, *, check: bool) -> Change:
    """Create the bucket, or change what differs; with ``check`` only say what would be done.

    Call it only while the server's /healthz is 200: a bucket that a server cannot decrypt looks as if it were missing,
    and creating it destroys it. Raises ``BucketUnusable`` for a change that would cost data, ``ConfigError`` for
    settings that cannot be, and what a request raises.
    """
    _require_sensible(wanted)
    names = Names(wanted.name)
    found = await _info(connection, names)
    if found is None:
        if not check:
            await api_request(connection, names, "CREATE", _wanted_config(names, wanted, {}))
        return Change(None, wanted, changed=True, created=True)
    config: dict[str, Any] = found["config"]
    before = _settings(wanted.name, config)
    _refuse_losses(before, wanted, found.get("state", {}), connection)
    target = _wanted_config(names, wanted, config)
    changed = any(_effective(config, key) != value for key, value in target.items())
    if changed and not check:
        for step in _steps(config, target):
            await _until_settled(connection, names, in_place=True)
            await api_request(connection, names, "UPDATE", step)
        await _until_settled(connection, names, in_place=False)
    return Change(before, wanted, changed=changed, created=False)


def _steps(config: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """The updates that lead to ``target``: a server refuses to move and to scale a stream in one."""
    moves = _effective(config, "placement") != target["placement"]
    scales = target["num_replicas"] - config["num_replicas"]
    if not (moves and scales):
        return [{**config, **target}]
    # More replicas may need the new place, and the new place may have room for fewer only.
    kept = "num_replicas" if scales > 0 else "placement"
    return [{**config, **target, kept: config.get(kept)}, {**config, **target}]


async def _until_settled(connection: Connection, names: Names, *, in_place: bool) -> None:
    """Until the stream has a leader that answers and, with ``in_place``, no replica is on its way to another server.

    Raises ``RequestFailed`` when that takes longer than ``MOVE_TIMEOUT``; a move itself goes on.
    """
    try:
        async with asyncio.timeout(MOVE_TIMEOUT):
            while not await _is_settled(connection, names, in_place=in_place):  # noqa: ASYNC110 -- the server has no event
                await asyncio.sleep(MOVE_POLL)
    except TimeoutError:
        raise RequestFailed(
            f"Bucket `{names.bucket}` on {connection.connected_url} is still being moved to other servers",
            hint="run this again when the move is done",
        ) from None


async def _is_settled(connection: Connection, names: Names, *, in_place: bool) -> bool:
    try:
        info = await api_request(connection, names, "INFO")
    except (RequestFailed, ServerUnreachable):
        return False  # an election: nobody answers until there is a leader
    cluster: dict[str, Any] = info.get("cluster") or {}
    # Servers before 2.15 do not say `desired`; while they move a stream it has replicas to spare.
    spare = len(cluster.get("replicas") or ()) - (info.get("config", {}).get("num_replicas", 1) - 1)
    return not in_place or ("desired" not in cluster and spare <= 0)


async def _info(connection: Connection, names: Names) -> dict[str, Any] | None:
    try:
        found = await api_request(connection, names, "INFO")
    except BucketNotFound:
        return None
    if "num_replicas" not in found.get("config", {}):
        raise RequestFailed(f"{connection.connected_url} does not say how bucket `{names.bucket}` is configured")
    return found


def _settings(name: str, config: dict[str, Any]) -> BucketSettings:
    return BucketSettings(
        name=name,
        replicas=int(config.get("num_replicas", 1)),
        storage=str(config.get("storage", "file")),
        max_bytes=int(config.get("max_bytes", -1)),
        max_age=int(config.get("max_age", 0)) / NANOSECONDS,
        compression=config.get("compression", "none") == "s2",
        description=str(config.get("description", "")),
        placement_tags=tuple((config.get("placement") or {}).get("tags") or ()),
    )


def _wanted_config(names: Names, wanted: BucketSettings, present: dict[str, Any]) -> dict[str, Any]:
    """The stream that every NATS object store client expects behind a bucket."""
    config: dict[str, Any] = {
        "name": names.stream,
        "subjects": [names.all_chunks, names.all_metadata],
        "retention": "limits",
        "storage": wanted.storage,
        "discard": "new",
        "num_replicas": wanted.replicas,
        "max_bytes": wanted.max_bytes,
        "max_age": round(wanted.max_age * NANOSECONDS),
        "compression": "s2" if wanted.compression else "none",
        "description": wanted.description,
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "deny_purge": False,
        "placement": None,
    }
    if wanted.placement_tags:
        cluster = (present.get("placement") or {}).get("cluster")
        config["placement"] = {**({"cluster": cluster} if cluster else {}), "tags": list(wanted.placement_tags)}
    return config


def _effective(config: dict[str, Any], key: str) -> object:
    """A setting of the server's answer, which leaves out what has its zero value."""
    zero: dict[str, object] = {"description": "", "compression": "none", "deny_purge": False, "placement": None}
    value = config.get(key, zero.get(key))
    return None if key == "placement" and not (value or {}).get("tags") else value


def _require_sensible(wanted: BucketSettings) -> None:
    if wanted.storage not in ("file", "memory"):
        raise ConfigError(f"`storage` of bucket `{wanted.name}` is `{wanted.storage}`", hint="use `file` or `memory`")
    if not 1 <= wanted.replicas <= 5:
        raise ConfigError(f"`replicas` of bucket `{wanted.name}` is {wanted.replicas}", hint="use 1, 3 or 5")
    if wanted.max_bytes == 0 or wanted.max_bytes < -1:
        raise ConfigError(
            f"`max_bytes` of bucket `{wanted.name}` is {wanted.max_bytes}",
            hint="use a number of bytes, or -1 for no limit",
        )
    if wanted.max_age < 0:
        raise ConfigError(f"`max_age` of bucket `{wanted.name}` is {wanted.max_age:g}", hint="use seconds, or 0")


def _refuse_losses(
    before: BucketSettings, wanted: BucketSettings, state: dict[str, Any], connection: Connection
) -> None:
    where = f"Bucket `{wanted.name}` on {connection.connected_url}"
    if before.storage != wanted.storage:
        raise BucketUnusable(
            f"{where} is on `{before.storage}` storage and cannot be moved to `{wanted.storage}` in place",
            hint="make a bucket of another name, point the database to it, and delete the old one when nobody needs it",
        )
    used = int(state.get("bytes", 0))
    if wanted.max_bytes != -1 and wanted.max_bytes < used:
        raise BucketUnusable(
            f"{where} holds {used} bytes, more than the wanted `max_bytes` of {wanted.max_bytes}",
            hint="shorten `retention` first and wait until less is used, or choose a larger `max_bytes`",
        )
    if wanted.max_age and (not before.max_age or wanted.max_age < before.max_age) and used:
        raise BucketUnusable(
            f"{where} would expire objects after {wanted.max_age:g} s, which deletes backups it holds",
            hint="leave `max_age` out and set `retention`, which knows what a restore needs",
        )
