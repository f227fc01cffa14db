"""Each subject that the agent publishes or listens to is tried; what is refused is named as it has to be granted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from litefleet.doctor.finding import Finding, Status
from litefleet.errors import PermissionDenied, RequestFailed
from litefleet.nats.causes import NobodyAnswers
from litefleet.nats.connection import Connection
from litefleet.nats.jetstream import Names

GRANT = "allow it in the user's permissions, for example with `ansible-playbook playbooks/nats.yml`"


@dataclass(frozen=True, slots=True)
class Need:
    """A subject as a permission names it, and a message to it that changes nothing."""

    subject: str
    example: str
    #: What is not possible without it.
    without: str
    payload: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: Status = "problem"


def needs(bucket: str, *, read_only: bool) -> list[Need]:
    """What the agent's user has to be allowed to publish; ``read_only`` is for one that only restores."""
    names = Names(bucket)
    token = f"doctor-{secrets.token_hex(8)}"
    chunks, metadata = names.chunks(token), names.metadata(f"litefleet/{token}")
    page = json.dumps({"seq": 1, "batch": 1, "next_by_subj": names.all_metadata, "max_bytes": 1}).encode()
    found = [
        Need(names.api("INFO"), names.api("INFO"), "the bucket cannot be looked at"),
        Need(names.direct_get, names.direct_get, "nothing can be listed or restored", page),
        Need(
            f"{names.direct_get}.>",
            f"{names.direct_get}.{metadata}",
            "stock Litestream cannot read what is there",
            missing="warning",
        ),
    ]
    if read_only:
        return found
    # A stream of that name does not exist, so the server refuses to store: it was permitted, and nothing is left.
    never = {"Nats-Expected-Stream": "litefleet-doctor"}
    return [
        *found,
        Need(
            names.api("PURGE"),
            names.api("PURGE"),
            "retention frees nothing",
            json.dumps({"filter": chunks}).encode(),
        ),
        Need(f"$O.{bucket}.C.*", chunks, "nothing can be backed up", headers=never),
        Need(f"$O.{bucket}.M.*", metadata, "nothing can be backed up", headers=never),
    ]


async def check_permissions(connection: Connection, bucket: str, *, read_only: bool) -> list[Finding]:
    """A finding for each subject that is refused, or one that all are permitted.

    Raises ``ServerUnreachable`` when the connection is lost meanwhile.
    """
    what = f"bucket {bucket}"
    findings: list[Finding] = []
    wanted = needs(bucket, read_only=read_only)
    for need in wanted:
        try:
            await connection.request(need.example, need.payload, headers=need.headers or None)
        except NobodyAnswers:
            continue  # it was permitted
        except PermissionDenied as error:
            if "subscribe to" in error.message:
                return [inbox_refused(what, connection.server.inbox_prefix)]
            detail = f"the user may not publish to `{need.subject}`: {need.without}"
            findings.append(Finding(need.missing, "permission", what, detail, GRANT))
        except RequestFailed as error:
            findings.append(Finding("problem", "permission", what, error.message, error.hint))
    if findings:
        return findings
    return [Finding("ok", "permission", what, f"all {len(wanted)} subjects that are published to are permitted")]


def inbox_refused(what: str, prefix: str) -> Finding:
    """Without replies nothing else can be tried."""
    detail = f"the user may not subscribe to `{prefix}.>`: no reply reaches it, so nothing else could be checked"
    return Finding("problem", "permission", what, detail, f"{GRANT}, or set `inbox-prefix` to one that is permitted")
