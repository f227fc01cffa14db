"""The metadata codec takes what it writes, and anything else without surprise."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from litefleet.nats.metadata import (
    MetadataUnreadable,
    ObjectInfo,
    decode_digest,
    decode_metadata,
    encode_digest,
    encode_metadata,
    encode_name,
    parse_time,
)

NOW = datetime(2026, 11, 23, 8, 32, 22, tzinfo=UTC)
text = st.text(st.characters(exclude_categories=["Cs"]))
infos = st.builds(
    ObjectInfo,
    name=text.filter(bool),
    nuid=st.from_regex(r"[A-Za-z0-9]{22}", fullmatch=True),
    size=st.integers(0, 2**63),
    chunks=st.integers(0, 2**31),
    digest=st.binary(min_size=32, max_size=32).map(encode_digest),
    headers=st.dictionaries(text, text, max_size=3),
    modified=st.just(NOW),
    sequence=st.integers(1, 2**63),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["name", "nuid", "size", "chunks", "digest", "headers", "options", "deleted", "mtime", "bucket"]


@given(infos)
def test_what_is_encoded_is_decoded(info: ObjectInfo) -> None:
    body = encode_metadata(info, bucket="B", max_chunk_size=1000)
    assert decode_metadata(body, token=encode_name(info.name), modified=NOW, sequence=info.sequence) == info


@given(infos)
def test_the_json_is_that_of_an_object_store(info: ObjectInfo) -> None:
    fields = json.loads(encode_metadata(info, bucket="B", max_chunk_size=1000))
    assert fields.pop("headers", {}) == {key: [value] for key, value in info.headers.items()}
    assert fields == {
        "name": info.name,
        "options": {"max_chunk_size": 1000},
        "bucket": "B",
        "nuid": info.nuid,
        "size": info.size,
        "mtime": "0001-01-01T00:00:00Z",
        "chunks": info.chunks,
        "digest": info.digest,
    }


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
@example({"name": "\ud800", "nuid": "N", "size": 0, "chunks": 0})
@example({"name": "x", "nuid": "N", "size": True, "chunks": 0})
def test_any_json_is_an_object_or_unreadable(fields: dict[str, Any]) -> None:
    try:
        info = decode_metadata(json.dumps(fields).encode(), token="eA==", modified=NOW, sequence=1)
    except MetadataUnreadable:
        return
    assert info.name == "x"


@given(st.binary())
def test_any_bytes_are_an_object_or_unreadable(body: bytes) -> None:
    with pytest.raises(MetadataUnreadable):
        decode_metadata(body, token="eA==", modified=NOW, sequence=1)


@pytest.mark.parametrize("nuid", ["*", ">", "a.b", "a b", "", "a\r\nPUB x", "é", "x" * 65])
def test_a_nuid_that_would_address_other_chunks_is_refused(nuid: str) -> None:
    body = json.dumps({"name": "x", "nuid": nuid, "size": 0, "chunks": 0}).encode()
    with pytest.raises(MetadataUnreadable):
        decode_metadata(body, token="eA==", modified=NOW, sequence=1)


@given(text)
def test_a_name_is_padded_urlsafe_base64(name: str) -> None:
    token = encode_name(name)
    assert len(token) % 4 == 0
    assert base64.urlsafe_b64decode(token).decode() == name


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_comes_back_with_and_without_padding(digest: bytes) -> None:
    assert decode_digest(encode_digest(digest)) == digest
    assert decode_digest(encode_digest(digest).rstrip("=")) == digest


@given(st.text())
def test_no_text_breaks_the_digest(digest: str) -> None:
    assert decode_digest(digest) is None
    assert decode_digest("SHA-256=" + digest) is None or len(digest.rstrip("=")) == 43


def test_a_time_with_nanoseconds_is_read() -> None:
    assert parse_time("2026-11-23T18:32:50.771505932Z") == datetime(2026, 11, 23, 18, 32, 50, 771505, tzinfo=UTC)
    assert parse_time("2026-11-23T18:32:50Z") == datetime(2026, 11, 23, 18, 32, 50, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-23T18:32:50", "2026-11-23", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"name":' * 100_000])
def test_json_that_nests_without_end_is_unreadable(body: bytes) -> None:
    with pytest.raises(MetadataUnreadable, match="not JSON"):
        decode_metadata(body, token="eA==", modified=NOW, sequence=1)


@pytest.mark.parametrize("field", ["size", "chunks"])
def test_more_than_a_server_can_count_is_refused(field: str) -> None:
    body = {"name": "x", "nuid": "N", field: (1 << 64) - 1}
    decode_metadata(json.dumps(body).encode(), token="eA==", modified=NOW, sequence=1)
    body[field] = 1 << 64
    with pytest.raises(MetadataUnreadable, match=field):
        decode_metadata(json.dumps(body).encode(), token="eA==", modified=NOW, sequence=1)
