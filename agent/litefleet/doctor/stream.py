"""What the stream behind a bucket says of itself: settings that lose backups, room, copies, and the server's clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litefleet.doctor.finding import Finding, Status
from litefleet.nats.chunks import chunk_size
from litefleet.nats.jetstream import Names

BUCKETS = "`ansible-playbook playbooks/buckets.yml` sets it, without touching what the bucket holds"
#: Shares of a limit from which on a warning, or a problem, is made of it.
ALMOST, FULL = 0.80, 0.95
#: Seconds that clocks may differ.
SKEW_WARNING, SKEW_PROBLEM = 2.0, 60.0

Info = Mapping[str, Any]


def check_settings(names: Names, info: Info, *, max_payload: int) -> list[Finding]:
    """``info`` is the answer to STREAM.INFO; one finding for each setting that does not fit, or that all do."""
    what, config = f"bucket {names.bucket}", _section(info, "config")
    findings = [
        Finding("problem", "bucket", what, f"`{key}` is off: {why}", BUCKETS)
        for key, why in (
            ("allow_direct", "nothing can be listed or restored"),
            ("allow_rollup_hdrs", "objects cannot be replaced"),
        )
        if not config.get(key)
    ]
    findings += [
        Finding("problem", "bucket", what, f"`{key}` is {config[key]}: {why}", hint)
        for key, why, hint in (
            ("deny_purge", "retention frees nothing", BUCKETS),
            ("sealed", "nothing can be written any more", "give the database another bucket"),
            ("no_ack", "nothing is ever acknowledged", BUCKETS),
        )
        if config.get(key)
    ]
    if config.get("storage") == "memory":
        findings.append(
            Finding("problem", "bucket", what, "storage is memory: a restart of the server loses all backups",
                    "make a bucket of another name on `file` storage, and point the database to it")
        )  # fmt: skip
    findings += _limits(what, config, max_payload)
    missing = {names.all_chunks, names.all_metadata} - set(config.get("subjects") or ())
    if missing:
        detail = f"the stream does not take {' and '.join(f'`{subject}`' for subject in sorted(missing))}"
        findings.append(Finding("problem", "bucket", what, f"{detail}: it is no object store", BUCKETS))
    return findings or [_fits(what, config)]


def _limits(what: str, config: Info, max_payload: int) -> list[Finding]:
    """Limits that make the server remove, or refuse, parts of backups."""
    findings = []
    if config.get("max_age"):
        findings.append(
            Finding("problem", "bucket", what, f"`max_age` of {config['max_age'] / 1e9:g} s expires backups",
                    "set it to 0; the agent's retention removes files, and knows what a restore needs")
        )  # fmt: skip
    for key in ("max_msgs", "max_msgs_per_subject"):
        if config.get(key, -1) > 0:
            detail = f"`{key}` of {config[key]} cuts objects into pieces that cannot be restored"
            findings.append(Finding("problem", "bucket", what, detail, "set it to -1"))
    least = chunk_size(max_payload)
    if 0 < config.get("max_msg_size", -1) < least:
        detail = f"`max_msg_size` of {config['max_msg_size']} bytes is less than the parts of an object ({least})"
        findings.append(Finding("problem", "bucket", what, detail, "set it to -1"))
    if config.get("discard") != "new":
        bounded = config.get("max_bytes", -1) > 0
        detail = "`discard` is old: a full bucket loses its oldest parts, among them what every restore needs"
        findings.append(Finding("problem" if bounded else "warning", "bucket", what, detail, BUCKETS))
    return findings


def _fits(what: str, config: Info) -> Finding:
    compression = config.get("compression", "none")
    stored = "stored as it is" if compression == "none" else f"compressed with {compression}"
    return Finding("ok", "bucket", what, f"settings fit; storage {config.get('storage', 'file')}, {stored}")


def check_durability(names: Names, info: Info) -> list[Finding]:
    """How many servers have a copy, and whether each has all of it."""
    what = f"bucket {names.bucket}"
    replicas = _section(info, "config").get("num_replicas", 1)
    lost = _section(info, "state").get("lost")
    findings = []
    if lost:
        findings.append(
            Finding("problem", "durability", what, "the server has lost messages of this bucket",
                    "see to its disk; then have a new snapshot made, or restore the bucket")
        )  # fmt: skip
    if replicas == 1:
        hint = "a server acknowledges before its disk has it, and writes it out within `sync_interval` (2 minutes)"
        hint += ": a power failure can cost so much; 3 replicas, or `sync_interval: always`, do not"
        return [*findings, Finding("note", "durability", what, "one replica", hint)]
    cluster = _section(info, "cluster")
    behind = [
        str(replica.get("name"))
        for replica in cluster.get("replicas") or ()
        if replica.get("offline") or not replica.get("current")
    ]
    if behind:
        detail = f"{replicas} replicas, but {', '.join(behind)} is offline or behind"
        hint = "see whether that server runs and catches up: its /healthz says so"
        return [*findings, Finding("warning", "durability", what, detail, hint)]
    return [*findings, Finding("ok", "durability", what, f"{replicas} replicas, all of them current")]


def check_room(names: Names, info: Info) -> Finding:
    """How much of ``max_bytes`` is used."""
    what = f"bucket {names.bucket}"
    used = int(_section(info, "state").get("bytes", 0))
    limit = int(_section(info, "config").get("max_bytes", -1))
    if limit <= 0:
        return Finding("ok", "room", what, f"{used} bytes used, without a limit of its own")
    return _share(what, used, limit, "raise `max_bytes` or shorten the retention")


def check_account(what: str, answer: Info) -> list[Finding]:
    """How much of the account's storage is used; ``answer`` is that to ``$JS.API.INFO``."""
    tiers = _section(answer, "tiers") or {"": answer}
    findings = []
    for name, tier in tiers.items():
        limit = int(_section(tier, "limits").get("max_storage", -1))
        if limit > 0:
            of = f"{what}, tier {name}" if name else what
            findings.append(_share(of, int(tier.get("storage", 0)), limit, "raise the account's `max_file`"))
    return findings or [Finding("ok", "room", what, "the account has no limit of its own")]


def _share(what: str, used: int, limit: int, hint: str) -> Finding:
    share = used / limit
    status: Status = "problem" if share >= FULL else "warning" if share >= ALMOST else "ok"
    detail = f"{100 * share:.0f} % used: {used} of {limit} bytes, {max(0, limit - used)} free"
    return Finding(status, "room", what, detail, "" if status == "ok" else hint)


def check_clock(what: str, skew: float, round_trip: float) -> Finding:
    """``skew`` is how many seconds the server's clock is ahead of ours, give or take half a round trip."""
    surely = max(0.0, abs(skew) - round_trip / 2)
    status: Status = "problem" if surely > SKEW_PROBLEM else "warning" if surely > SKEW_WARNING else "ok"
    direction = "ahead of" if skew > 0 else "behind"
    if status == "ok":
        return Finding("ok", "clock", what, f"{abs(skew):.3f} s {direction} this host")
    hint = "synchronise both (chrony, systemd-timesyncd): points in time to restore are told by these clocks"
    return Finding(status, "clock", what, f"{abs(skew):.1f} s {direction} this host", hint)


def _section(info: Info, key: str) -> dict[str, Any]:
    value = info.get(key)
    return value if isinstance(value, dict) else {}
