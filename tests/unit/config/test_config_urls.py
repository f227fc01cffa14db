"""NATS URLs in all their forms."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.config import TLS, Credentials, Replica, Server, replica_from_url
from litefleet.config.urls import ForeignURL, Location, URLError, parse_urls
from litefleet.errors import UsageError

ONE = ("nats://h:4222",)
THREE = ("nats://h1:4222", "nats://h2:4222", "nats://h3:4222")


@pytest.mark.parametrize(
    ("texts", "location"),
    [
        (["nats://h:4222"], Location(ONE)),
        (["nats://h:4222/"], Location(ONE)),
        (["nats://h"], Location(ONE)),
        (["NATS://H:04222"], Location(ONE)),
        (["nats://h:4222/BUCKET"], Location(ONE, "BUCKET")),
        (["nats://h/BUCKET/"], Location(ONE, "BUCKET")),
        (["nats://h/BUCKET/x/y.db"], Location(ONE, "BUCKET", "x/y.db")),
        (["nats://h/BUCKET/x/y.db/"], Location(ONE, "BUCKET", "x/y.db")),
        (["nats://h/BUCKET/a%20b%2Cc%3F"], Location(ONE, "BUCKET", "a b,c?")),
        (["nats://h1,h2,h3/b/x"], Location(THREE, "b", "x")),
        (["nats://h1/b/x,nats://h2/b/x,nats://h3"], Location(THREE, "b", "x")),
        (["nats://connect.ngs.global"], Location(("nats://connect.ngs.global:4222",))),
        (["nats://h1:4222,nats://h2:4222,nats://h3:4222"], Location(THREE)),
        (["nats://h1, nats://h2, nats://h3"], Location(THREE)),
        (["nats://h1:4222,h2:4222,h3/b"], Location(THREE, "b")),
        (["nats://h1/b,nats://h2/b,nats://h3/b"], Location(THREE, "b")),
        (["nats://h1", "nats://h2", "nats://h3/b"], Location(THREE, "b")),
        (["nats://h1,h2", "nats://h3"], Location(THREE)),
        (["nats://h", "nats://h:4222"], Location(ONE)),
        (["tls://h"], Location(ONE, tls=True)),
        (["tls://h1,h2", "nats://h3"], Location(THREE, tls=True)),
        (["nats://[::1]:4222"], Location(("nats://[::1]:4222",))),
        (["nats://[0:0::1]"], Location(("nats://[::1]:4222",))),
        (["nats://127.0.0.1:1/b"], Location(("nats://127.0.0.1:1",), "b")),
        (["nats://u:p@h/b"], Location(ONE, "b", username="u", password="p")),
        (["nats://u:p%40%2F%25%2C@h/b"], Location(ONE, "b", username="u", password="p@/%,")),
        (["nats://u:p:q@h"], Location(ONE, username="u", password="p:q")),
        (["nats://u:p@h1,h2,nats://u:p@h3"], Location(THREE, username="u", password="p")),
        (["nats://s3cret@h"], Location(ONE, token="s3cret")),
    ],
)
def test_form_is_read(texts: list[str], location: Location) -> None:
    assert parse_urls(texts) == location


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "has no scheme"),
        ("h:4222", "has no scheme"),
        ("nats://", "the host's name is missing"),
        ("nats:///b", "the host's name is missing"),
        ("nats://h1,", "server 2 of the list: the host's name is missing"),
        ("nats://h1,nats://h2:0", "server 2 of the list: the port is not a number"),
        ("nats://h:65536", "the port is not a number"),
        ("nats://h:", "the port is not a number"),
        ("nats://h:+1", "the port is not a number"),
        ("nats://h:\u0661", "the port is not a number"),
        ("nats://::1", "in brackets"),
        ("nats://[::1", "is not complete"),
        ("nats://[::1]x", "is not complete"),
        ("nats://[h]:1", "not an IPv6 address"),
        ("nats://h h", "character that no name has"),
        ("nats://a..b", "character that no name has"),
        ("nats://b\u00fccher", "character that no name has"),
        ("nats://h/b/c//d", "empty part"),
        ("nats://h/b/../c", "empty part"),
        ("nats://h/b/c%0a", "control character"),
        ("nats://h/b/%ff", "not UTF-8"),
        ("nats://h/b/%x", "hexadecimal"),
        ("nats://h1/b/x,nats://h2/b/y", "different paths in the bucket"),
        ("nats://h1/b/x,nats://h2/b", "different paths in the bucket"),
        ("nats://h1,nats://h2/b/c//d", "server 2 of the list: the path has an empty part"),
        ("nats://h/b.c", "A-Z a-z 0-9 - and _"),
        ("nats://h?tls=true", r"NATS URLs do not have"),
        ("nats://h/b#x", r"NATS URLs do not have"),
        ("nats://u:a/b@h", "after the first `/`"),
        ("nats://u:@h", "is empty"),
        ("nats://:p@h", "is empty"),
        ("nats://@h", "is empty"),
        ("nats://u:100%@h", "hexadecimal"),
        ("nats://u:%ff@h", "not UTF-8"),
        ("nats://u:p@h1,nats://u:q@h2", "different users"),
        ("nats://h1/a,nats://h2/b", "different buckets"),
        ("wss://h", "websocket"),
    ],
)
def test_what_is_no_nats_url_is_refused(text: str, what: str) -> None:
    with pytest.raises(URLError, match=what):
        parse_urls([text])


@pytest.mark.parametrize(("text", "kind"), [("s3://b/x", "s3"), ("file:///x", "file"), ("/x", "file"), ("./x", "file")])
def test_other_replica_types_are_named(text: str, kind: str) -> None:
    with pytest.raises(ForeignURL) as caught:
        parse_urls([text])
    assert caught.value.kind == kind


@given(st.text())
def test_any_text_is_a_location_or_a_url_error(text: str) -> None:
    try:
        parse_urls([f"nats://{text}"])
    except URLError:
        return


_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_HOST = st.one_of(
    st.lists(_LABEL, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.integers(0, 2**128 - 1).map(lambda number: f"[{ipaddress.IPv6Address(number)}]"),
)
_WORD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


#: What a file's path below a directory can be.
_PATH = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=8).filter(
        lambda part: part not in (".", "..")
    ),
    max_size=4,
).map("/".join)


@given(
    servers=st.lists(st.tuples(_HOST, st.integers(1, 65535)), min_size=1, max_size=4, unique=True),
    place=st.tuples(st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True), _PATH) | st.just((None, "")),
    user=st.none() | st.tuples(_WORD, st.none() | _WORD),
    tls=st.booleans(),
    whole=st.booleans(),
)
def test_written_urls_are_read_back(
    servers: list[tuple[str, int]],
    place: tuple[str | None, str],
    user: tuple[str, str | None] | None,
    tls: bool,
    whole: bool,
) -> None:
    bucket, path = place
    scheme = "tls://" if tls else "nats://"
    info = "" if user is None else ":".join(quote(part, safe="") for part in user if part is not None) + "@"
    members = [f"{host}:{port}" for host, port in servers]
    separator = f",{scheme}" if whole else ","
    text = f"{scheme}{info}{separator.join(members)}" + (f"/{bucket}/{quote(path)}" if bucket else "")
    name, password = user or (None, None)
    assert parse_urls([text]) == Location(
        urls=tuple(f"nats://{member}" for member in members),
        bucket=bucket,
        path=path,
        tls=tls,
        username=name if password is not None else None,
        password=password,
        token=name if password is None else None,
    )


def test_replica_for_the_command_line() -> None:
    assert replica_from_url("tls://u:p@h1,h2:1/b") == Replica(
        Server(("nats://h1:4222", "nats://h2:1"), Credentials(username="u", password="p"), TLS()), "b"
    )


@given(path=_PATH)
def test_url_of_a_replica_names_it_again(path: str) -> None:
    replica = Replica(Server(THREE), "b", path)
    assert replica_from_url(replica.url) == replica


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("nats://h", "names no bucket"),
        ("s3://b", "replica type `s3` is not supported"),
        ("nats://u:hunter2@h:x/b", "URL the port is not a number"),
    ],
)
def test_unusable_url_on_the_command_line_is_a_usage_error(url: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        replica_from_url(url)
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show_in_repr() -> None:
    assert "hunter2" not in repr(parse_urls(["nats://u:hunter2@h/b"])) + repr(replica_from_url("nats://hunter2@h/b"))
