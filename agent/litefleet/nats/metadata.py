"""What describes an object: the JSON of its metadata message, as every NATS object store client writes it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

DIGEST_PREFIX = "SHA-256="
#: Go's zero time: clients replace it with the time of the message.
ZERO_TIME = "0001-01-01T00:00:00Z"
# A nuid ends up in a subject: a wildcard in a foreign one would address the chunks of other objects.
_NUID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class MetadataUnreadable(ValueError):
    """A metadata message that does not describe an object we can read."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a bucket."""

    name: str
    #: The last token of the subject of its chunks; new with every put.
    nuid: str
    #: Bytes.
    size: int
    chunks: int
    #: ``SHA-256=`` and the digest in URL-safe base64.
    digest: str
    headers: Mapping[str, str]
    #: When the stream stored it, UTC.
    modified: datetime
    #: The stream sequence of the metadata message.
    sequence: int
    deleted: bool = False


def encode_name(name: str) -> str:
    """An object's name as a subject token."""
    return base64.urlsafe_b64encode(name.encode()).decode()


def encode_digest(digest: bytes) -> str:
    """A SHA-256 as metadata holds it."""
    return DIGEST_PREFIX + base64.urlsafe_b64encode(digest).decode()


def decode_digest(text: str) -> bytes | None:
    """The SHA-256 of a digest, with or without padding; None for anything else."""
    if not text.startswith(DIGEST_PREFIX):
        return None
    value = text[len(DIGEST_PREFIX) :].rstrip("=")
    try:
        digest = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == hashlib.sha256().digest_size else None


def encode_metadata(info: ObjectInfo, *, bucket: str, max_chunk_size: int) -> bytes:
    """The body of a metadata message."""
    body: dict[str, Any] = {"name": info.name}
    if info.headers:
        body["headers"] = {key: [value] for key, value in info.headers.items()}
    body |= {
        "options": {"max_chunk_size": max_chunk_size},
        "bucket": bucket,
        "nuid": info.nuid,
        "size": info.size,
        "mtime": ZERO_TIME,
        "chunks": info.chunks,
        "digest": info.digest,
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def decode_metadata(body: bytes, *, token: str, modified: datetime, sequence: int) -> ObjectInfo:
    """The object that a metadata message describes; ``token`` is the last token of its subject.

    Raises ``MetadataUnreadable`` for anything that is not an object's metadata, or that points to another object.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:  # the latter for lists in lists in lists
        raise MetadataUnreadable("not JSON") from error
    if not isinstance(fields, dict):
        raise MetadataUnreadable("not a JSON object")
    name, nuid, deleted = fields.get("name"), fields.get("nuid", ""), fields.get("deleted", False) is True
    if not isinstance(name, str) or not name or not _same_token(name, token):
        raise MetadataUnreadable("its name is not that of its subject")
    if not isinstance(nuid, str) or not (_NUID.fullmatch(nuid) or (deleted and not nuid)):
        raise MetadataUnreadable("no usable nuid")
    options = fields.get("options")
    if isinstance(options, dict) and options.get("link"):
        raise MetadataUnreadable("a link")
    digest = fields.get("digest", "")
    return ObjectInfo(
        name=name,
        nuid=nuid,
        size=_count(fields, "size"),
        chunks=_count(fields, "chunks"),
        digest=digest if isinstance(digest, str) else "",
        headers=_headers(fields.get("headers")),
        modified=modified,
        sequence=sequence,
        deleted=deleted,
    )


def parse_time(text: str) -> datetime:
    """A time of the server, RFC 3339 with up to nine digits of a second, in UTC; ``ValueError`` if it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # the first and the last hours of the calendar
        raise ValueError("a time beyond the calendar") from error


def _same_token(name: str, token: str) -> bool:
    try:
        return encode_name(name).rstrip("=") == token.rstrip("=")
    except UnicodeEncodeError:  # a lone surrogate, which JSON can express
        return False


def _count(fields: dict[str, Any], key: str) -> int:
    value = fields.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
        raise MetadataUnreadable(f"`{key}` is not a number")
    return value


def _headers(value: object) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(value, dict):
        for key, values in value.items():
            first = values[0] if isinstance(values, list) and values else values
            if isinstance(first, str):
                headers[str(key)] = first
    return headers
