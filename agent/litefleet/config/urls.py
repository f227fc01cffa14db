"""NATS URLs, in every form the guide and NATS tools print.

One text may hold several servers separated by commas, each with or without its own scheme; the bucket, and behind it
the place in a shared bucket, is the path of any of them. Messages never repeat a part of the URL: what looks like a
port may be the half of a password.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

DEFAULT_PORT = 4222

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,15})://(?P<rest>.*)", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.)){0,252}")
_BRACKETED = re.compile(r"\[(?P<host>[^\]]*)\](?::(?P<port>.*))?")
_BUCKET = re.compile(r"[A-Za-z0-9_-]+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Bytes; names below a path go into a subject, which nats-server takes up to 4096 bytes of.
_LONGEST_PATH = 1024

#: Replica types of Litestream, and what else is likely to stand there; anything else is not repeated.
_FOREIGN = frozenset({"file", "s3", "gs", "abs", "sftp", "webdav", "webdavs", "oss", "http", "https"})

_ENCODE = "write `@ : / ? # , %` inside a user name, a password or the path as %40 %3A %2F %3F %23 %2C %25"


class URLError(ValueError):
    """A URL that cannot be used; the text fits behind ``url:`` and holds no part of it."""


class ForeignURL(URLError):
    """A URL of another kind of replica; ``kind`` is its scheme, or ``file``."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"replica type `{kind}` is not supported")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Location:
    """What a replica's URLs say."""

    #: ``nats://host:port`` each, in the order given, without repetition.
    urls: tuple[str, ...]
    bucket: str | None = None
    #: What stands behind the bucket; empty for nothing.
    path: str = ""
    #: ``tls://`` was used at least once.
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Member:
    url: str
    bucket: str | None
    path: str
    tls: bool
    user: tuple[str, str | None] | None = field(repr=False)


def check_bucket(name: str) -> None:
    """Raises URLError unless ``name`` can be an object store bucket's."""
    if not _BUCKET.fullmatch(name):
        raise URLError("a bucket's name may only have the characters A-Z a-z 0-9 - and _")


def clean_path(text: str) -> str:
    """A place in a shared bucket without slashes at its ends; raises URLError unless it can be one."""
    path = text.strip("/")
    if _CONTROL.search(path):
        raise URLError("the path has a control character, for example a line break")
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        raise URLError("the path has an empty part, `.` or `..`; write names joined by single slashes")
    try:
        long = len(path.encode()) > _LONGEST_PATH
    except UnicodeEncodeError:
        raise URLError("the path is not UTF-8 text") from None
    if long:
        raise URLError(f"the path is longer than {_LONGEST_PATH} bytes")
    return path


def parse_urls(texts: Sequence[str], *, check_bucket: Callable[[str], None] = check_bucket) -> Location:
    """The servers, bucket and user information of one or more URLs; raises URLError.

    ``check_bucket`` raises it too, for a name that is none.
    """
    members: list[_Member] = []
    for text in texts:
        scheme: str | None = None
        for part in text.split(","):
            scheme, member = _member(part.strip(), scheme, _ordinal(len(members), text, texts))
            if member.bucket is not None:
                check_bucket(member.bucket)
            members.append(member)
    users = {member.user for member in members if member.user is not None}
    if len(users) > 1:
        raise URLError("the servers of one list name different users; all are one cluster with one user: name it once")
    buckets = {member.bucket for member in members if member.bucket is not None}
    if len(buckets) > 1:
        raise URLError("the servers of one list name different buckets; name the bucket once")
    paths = {member.path for member in members if member.bucket is not None}
    if len(paths) > 1:
        raise URLError("the servers of one list name different paths in the bucket; name bucket and path once")
    name, password = users.pop() if users else (None, None)
    return Location(
        urls=tuple(dict.fromkeys(member.url for member in members)),
        bucket=buckets.pop() if buckets else None,
        path=paths.pop() if paths else "",
        tls=any(member.tls for member in members),
        username=name if password is not None else None,
        password=password,
        token=name if password is None else None,
    )


def _ordinal(index: int, text: str, texts: Sequence[str]) -> str:
    return f"server {index + 1} of the list: " if "," in text or len(texts) > 1 else ""


def _member(text: str, scheme: str | None, where: str) -> tuple[str, _Member]:
    """One server; ``scheme`` is that of the server before it in the same text."""
    if match := _SCHEME.fullmatch(text):
        scheme, text = match["scheme"].lower(), match["rest"]
        if scheme in ("ws", "wss"):
            raise URLError(f"{where}NATS over websocket is not supported; use nats:// or tls://")
        if scheme not in ("nats", "tls"):
            if scheme in _FOREIGN:
                raise ForeignURL(scheme)
            raise URLError(f"{where}has an unknown scheme; write nats://HOST:PORT, or tls://HOST:PORT")
    elif scheme is None:
        if text.startswith(("/", ".", "~")):
            raise ForeignURL("file")
        raise URLError(f"{where}has no scheme; write nats://HOST:PORT, or tls://HOST:PORT")
    if "?" in text or "#" in text:
        raise URLError(f"{where}has a `?` or `#` part, which NATS URLs do not have; {_ENCODE}")
    authority, _, place = text.partition("/")
    if "@" in place:
        raise URLError(f"{where}has an `@` after the first `/`; {_ENCODE}")
    userinfo, at, address = authority.rpartition("@")
    bucket, path = _place(place, where)
    return scheme, _Member(
        url=f"nats://{_address(address, where)}",
        bucket=bucket,
        path=path,
        tls=scheme == "tls",
        user=_user(userinfo, where) if at else None,
    )


def _address(text: str, where: str) -> str:
    """``host:port`` in one spelling, so that equal servers compare equal."""
    if text.startswith("["):
        match = _BRACKETED.fullmatch(text)
        if match is None:
            raise URLError(f"{where}the address in `[` `]` is not complete; write [ADDRESS]:PORT")
        try:
            host = f"[{ipaddress.IPv6Address(match['host'])}]"
        except ValueError as error:
            raise URLError(f"{where}what stands in `[` `]` is not an IPv6 address") from error
        port: str | None = match["port"]
    else:
        host, colon, rest = text.partition(":")
        if ":" in rest:
            raise URLError(f"{where}has too many `:`; write an IPv6 address in brackets: nats://[::1]:{DEFAULT_PORT}")
        host, port = host.lower(), rest if colon else None
        if not host:
            raise URLError(f"{where}the host's name is missing; write nats://HOST:PORT")
        if not _HOST.fullmatch(host):
            raise URLError(
                f"{where}the host's name has a character that no name has (write punycode for other letters)"
            )
    if port is None:
        return f"{host}:{DEFAULT_PORT}"
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
        raise URLError(f"{where}the port is not a number from 1 to 65535")
    return f"{host}:{int(port)}"


def _place(text: str, where: str) -> tuple[str | None, str]:
    """Bucket and path; percent-encoded is only what stands behind the bucket, whose name needs no such thing."""
    bucket, _, path = text.strip("/").partition("/")
    if not bucket:
        return None, ""
    if _BAD_ESCAPE.search(path):
        raise URLError(f"{where}a `%` in the path is not followed by two hexadecimal digits; {_ENCODE}")
    try:
        return bucket, clean_path(unquote(path, errors="strict"))
    except UnicodeDecodeError as error:
        raise URLError(f"{where}the path is not UTF-8 once decoded") from error
    except URLError as error:
        raise URLError(f"{where}{error}") from None


def _user(text: str, where: str) -> tuple[str, str | None]:
    """User and password; a user alone is a token, as in every NATS client."""
    if _BAD_ESCAPE.search(text):
        raise URLError(
            f"{where}a `%` in the user name or password is not followed by two hexadecimal digits; {_ENCODE}"
        )
    name, colon, password = text.partition(":")
    if not name or (colon and not password):
        raise URLError(f"{where}the user name or the password before `@` is empty; write USER:PASSWORD@HOST")
    try:
        return unquote(name, errors="strict"), unquote(password, errors="strict") if colon else None
    except UnicodeDecodeError as error:
        raise URLError(f"{where}the user name or password is not UTF-8 once decoded") from error
