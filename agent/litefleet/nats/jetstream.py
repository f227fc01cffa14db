"""JetStream's requests and refusals, for the stream behind one bucket."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litefleet.errors import (
    BucketFull,
    BucketNotFound,
    BucketUnusable,
    ConfigError,
    NatsError,
    ObjectExists,
    RequestFailed,
)
from litefleet.nats.connection import Connection
from litefleet.nats.exchange import Reply
from litefleet.nats.metadata import encode_name, parse_time

STREAM_NOT_FOUND = 10059
STORE_FAILED = 10077
ACCOUNT_LIMIT = 10002
NOT_ENABLED = (10039, 10076)
ROLLUP_DENIED = 10111
PURGE_DENIED = 10110
TOO_MANY_REQUESTS = 10167
WRONG_LAST_SEQUENCE = 10071
#: Another message that carries a check of the same subject is on its way.
CHECK_UNDER_WAY = 10164

_NONE = type(None)
#: Of answers, and of the parts of them, what is read anywhere, and what it can be.
_KINDS: dict[tuple[str, ...], dict[str, tuple[type, ...]]] = {
    (): {"config": (dict,), "state": (dict,), "cluster": (dict, _NONE), "ts": (str,), "created": (str,)},
    ("config",): {
        "num_replicas": (int,),
        "max_bytes": (int,),
        "max_age": (int,),
        "storage": (str,),
        "compression": (str,),
        "description": (str,),
        "allow_direct": (bool,),
        "allow_rollup_hdrs": (bool,),
        "placement": (dict, _NONE),
    },
    ("config", "placement"): {"tags": (list, _NONE), "cluster": (str,)},
    ("state",): {"messages": (int,), "bytes": (int,), "last_seq": (int,), "subjects": (dict, _NONE)},
    ("cluster",): {"leader": (str,), "replicas": (list, _NONE)},
}

_BUCKET = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Names:
    """The stream and the subjects of a bucket."""

    bucket: str

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            raise ConfigError(
                f"`{self.bucket}` is not a bucket name", hint="use letters, digits, `-` and `_` (no dot, no slash)"
            )

    @property
    def stream(self) -> str:
        """The stream's name."""
        return f"OBJ_{self.bucket}"

    @property
    def all_chunks(self) -> str:
        """The subjects of the chunks of all objects."""
        return f"$O.{self.bucket}.C.>"

    @property
    def all_metadata(self) -> str:
        """The subjects of the metadata of all objects."""
        return f"$O.{self.bucket}.M.>"

    @property
    def direct_get(self) -> str:
        """The subject that replicas answer for the leader."""
        return f"$JS.API.DIRECT.GET.{self.stream}"

    def chunks(self, nuid: str) -> str:
        """The subject of an object's chunks."""
        return f"$O.{self.bucket}.C.{nuid}"

    def metadata(self, name: str) -> str:
        """The subject of an object's metadata."""
        return f"$O.{self.bucket}.M.{encode_name(name)}"

    def api(self, verb: str) -> str:
        """The subject of ``STREAM.<verb>`` for this stream."""
        return f"$JS.API.STREAM.{verb}.{self.stream}"


class JetStreamRefused(RequestFailed):
    """JetStream answered with an error that has no class of its own; see ``err_code``."""

    def __init__(self, message: str, *, hint: str = "", err_code: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.err_code = err_code


class WrongSequence(ObjectExists):
    """The newest message of a subject is another than expected; ``found`` is its sequence, 0 if there is none."""

    def __init__(self, message: str, *, hint: str = "", found: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.found = found


async def api_request(
    connection: Connection, names: Names, verb: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``STREAM.<verb>`` on the bucket's stream.

    Raises ``BucketNotFound`` and the other errors of ``refusal``, and what ``Connection.request`` raises.
    """
    payload = b"" if body is None else json.dumps(body).encode()
    reply = await connection.request(names.api(verb), payload)
    return parse(reply, names, connection)


def parse(reply: Reply, names: Names, connection: Connection) -> dict[str, Any]:
    """The JSON of a reply of JetStream; its ``error`` is raised."""
    try:
        answer = json.loads(reply.data)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not _is_sound(answer):
        raise RequestFailed(f"{connection.connected_url} sent something else than JetStream's answer")
    error = answer.get("error")
    if isinstance(error, dict):
        raise refusal(error, names.bucket, connection.connected_url)
    return answer


def _is_sound(answer: Mapping[str, Any]) -> bool:
    """Whether everything in it that is read anywhere is of the kind that JetStream sends; what is not there is."""
    for path, kinds in _KINDS.items():
        fields: Mapping[str, Any] = answer
        for step in path:
            fields = fields.get(step) or {}
        if not all(_fits(fields[key], kinds[key]) for key in kinds.keys() & fields.keys()):
            return False
    subjects: Mapping[str, Any] = answer.get("state", {}).get("subjects") or {}
    return all(_fits(count, (int,)) for count in subjects.values())


def _fits(value: object, kinds: tuple[type, ...]) -> bool:
    return type(value) in kinds and (not isinstance(value, int) or -1 <= value < 1 << 64)


def server_time(answer: Mapping[str, Any], connection: Connection) -> datetime:
    """The server's clock as it answered; raises ``RequestFailed`` if it does not say."""
    try:
        return parse_time(str(answer.get("ts", "")))
    except ValueError:
        raise RequestFailed(f"{connection.connected_url} sent an answer without a time") from None


def refusal(error: Mapping[str, Any], bucket: str, url: str) -> NatsError:
    """The error for JetStream's ``{"code", "err_code", "description"}``."""
    number = error.get("err_code")
    err_code = number if isinstance(number, int) else 0
    words = str(error.get("description") or f"error {error.get('code')}")
    if err_code == STREAM_NOT_FOUND:
        return not_found(bucket, url)
    if err_code in (ACCOUNT_LIMIT, STORE_FAILED):
        return _full(err_code, words, bucket, url)
    if err_code == WRONG_LAST_SEQUENCE:
        return WrongSequence(
            f"Bucket `{bucket}` on {url} already holds an object of that name",
            hint="does another agent write to the same bucket?",
            found=_sequence(words),
        )
    if err_code in NOT_ENABLED:
        return JetStreamRefused(
            f"JetStream is not enabled for this account on {url}",
            hint="give the account a `jetstream` block in the configuration of nats-server",
            err_code=err_code,
        )
    if err_code in (ROLLUP_DENIED, PURGE_DENIED):
        return BucketUnusable(
            f"Bucket `{bucket}` on {url} is not an object store: {words}",
            hint="compare it with `ansible-playbook playbooks/buckets.yml --check --diff`",
        )
    return JetStreamRefused(
        f"JetStream on {url} refuses a request for bucket `{bucket}`: {words} ({err_code})",
        hint="see whether the cluster has a leader: its /healthz says so" if error.get("code") == 503 else "",
        err_code=err_code,
    )


def _sequence(words: str) -> int:
    found = re.search(r"sequence: (\d+)", words)
    return int(found[1]) if found else 0


def _full(err_code: int, words: str, bucket: str, url: str) -> BucketFull:
    if err_code == ACCOUNT_LIMIT:
        what, hint = f"The account of bucket `{bucket}`", "raise the account's `max_file`"
    elif "maximum" in words:
        what, hint = f"Bucket `{bucket}`", "raise its `max_bytes`"
    else:
        # Whatever else keeps the server from storing, such as a disk without space.
        return BucketFull(f"{url} cannot store in bucket `{bucket}`: {words}", hint="look at the server's disk")
    return BucketFull(f"{what} on {url} is full: {words}", hint=f"{hint}, or keep less: shorten `retention`")


def not_found(bucket: str, url: str) -> BucketNotFound:
    """The error for a bucket that does not exist."""
    return BucketNotFound(
        f"Bucket not found: `{bucket}` on {url}", hint="create it with `ansible-playbook playbooks/buckets.yml`"
    )
