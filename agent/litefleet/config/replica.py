"""A database's ``replica`` section, completed by what the top level says for all replicas.

What the section says itself is nearer and wins: a credential in it replaces those of the top level, whatever their
kind. Only what one and the same level says can contradict itself.
"""

from __future__ import annotations

from litefleet.config.credentials import read_credentials
from litefleet.config.directories import (
    DEFAULT_PATH,
    check_bucket_template,
    clean_path_template,
    has_placeholder,
)
from litefleet.config.document import Section
from litefleet.config.keys import REPLICA, check_keys
from litefleet.config.layers import Layers
from litefleet.config.settings import Credentials, Replica, Server
from litefleet.config.tls import read_tls
from litefleet.config.urls import ForeignURL, Location, URLError, check_bucket, clean_path, parse_urls

_NATS_ONLY = "litefleet writes to NATS only; write `type: nats`, `url: nats://HOST:4222` and `bucket`"
_DEFAULT = Server(urls=())


def read_replica(own: Section, top: Section, *, template: bool = False) -> Replica | None:
    """The replica, or None if something was wrong with it; all of that is then among the problems.

    With ``template`` its bucket and path may have placeholders, and one of them will.
    """
    layers = Layers(own, top)
    if not _is_nats(layers):
        return None
    check_keys(own, REPLICA)
    location = _location(layers, template=template)
    known = location or Location(urls=())
    bucket = _bucket(layers, location, template=template)
    path = _path(layers, location, template=template)
    server = Server(
        urls=known.urls,
        credentials=_credentials(layers, known),
        tls=read_tls(layers, in_url=known.tls),
        max_reconnects=_max_reconnects(layers),
        reconnect_wait=_duration(layers, "reconnect-wait", _DEFAULT.reconnect_wait, zero=True),
        timeout=_duration(layers, "timeout", _DEFAULT.timeout, zero=False),
        inbox_prefix=_inbox_prefix(layers),
    )
    sync_interval = _duration(layers, "sync-interval", 0.0, zero=True)
    if location is None or bucket is None or path is None:
        return None
    if template and not (has_placeholder(bucket) or has_placeholder(path)):
        path = f"{path}/{DEFAULT_PATH}" if path else DEFAULT_PATH
    return Replica(server=server, bucket=bucket, path=path, sync_interval=sync_interval)


def _is_nats(layers: Layers) -> bool:
    """Whether to read on: the keys of another type of replica would only be more of the same problem."""
    kind = layers.get("type")
    if kind is None:
        return True
    name = kind.text()
    if name not in (None, "nats"):
        shown = f" `{name}`" if name and name.isalnum() and len(name) < 20 else ""
        kind.problem(f"replica type{shown} is not supported; {_NATS_ONLY}")
        return False
    return True


def _location(layers: Layers, *, template: bool) -> Location | None:
    entry = layers.get("url")
    if entry is None:
        if layers.own.get("path") and not layers.get("bucket"):
            layers.own.problem(f"replica type `file` is not supported; {_NATS_ONLY}")
        else:
            layers.own.problem("`url` is missing; write where NATS is, for example `url: nats://nats.example.com:4222`")
        return None
    entries = entry.one_or_more()
    texts = [item.text() for item in entries or ()]
    known = [text for text in texts if text is not None]
    if not known or len(known) < len(texts):
        return None
    try:
        return parse_urls(known, check_bucket=check_bucket_template if template else check_bucket)
    except ForeignURL as error:
        entry.problem(f"{error}; {_NATS_ONLY}")
    except URLError as error:
        entry.problem(str(error))
    return None


def _bucket(layers: Layers, location: Location | None, *, template: bool) -> str | None:
    entry = layers.get("bucket")
    in_url = location.bucket if location else None
    if entry is None:
        if in_url is None and location is not None:
            layers.own.problem("`bucket` is missing; name the object store bucket of this database")
        return in_url
    name = entry.text()
    if name is None:
        return None
    try:
        (check_bucket_template if template else check_bucket)(name)
    except URLError as error:
        stray = " (placeholders are for entries with `dir`)" if not template and has_placeholder(name) else ""
        entry.problem(f"{error}{stray}")
        return None
    if in_url is None or in_url == name:
        return name
    if layers.own.get("url") and layers.own.get("bucket") is None:
        return in_url
    entry.problem(f"is `{name}`, but `url` names bucket `{in_url}`; keep one of them")
    return None


def _path(layers: Layers, location: Location | None, *, template: bool) -> str | None:
    """Never from the top level, where it would put all databases in one place."""
    entry = layers.own.get("path")
    in_url = location.path if location else ""
    text = entry.text() if entry else in_url
    if text is None:
        return None
    problem = (entry or layers.get("url") or layers.own).problem
    try:
        path = (clean_path_template if template else clean_path)(text)
    except URLError as error:
        problem(str(error))
        return None
    if not template and has_placeholder(path):
        problem("has a `{` or `}` in its path; placeholders are for entries with `dir`")
        return None
    if entry and in_url and path != in_url:
        problem("differs from what `url` has behind the bucket; keep one of them")
        return None
    return path


def _credentials(layers: Layers, location: Location) -> Credentials:
    url = layers.level_of("url")
    from_url = {
        key: value
        for key, value in (
            ("username", location.username),
            ("password", location.password),
            ("token", location.token),
        )
        if value is not None
    }
    return read_credentials(
        layers.own,
        layers.top,
        own_url=from_url if url is layers.own else {},
        top_url=from_url if url is layers.top else {},
        url=layers.get("url"),
    )


def _max_reconnects(layers: Layers) -> int:
    entry = layers.get("max-reconnects")
    value = entry.integer(minimum=-1) if entry else None
    return _DEFAULT.max_reconnects if value is None else value


def _duration(layers: Layers, key: str, default: float, *, zero: bool) -> float:
    entry = layers.get(key)
    value = entry.duration(zero=zero) if entry else None
    return default if value is None else value


def _inbox_prefix(layers: Layers) -> str:
    entry = layers.get("inbox-prefix")
    text = entry.text() if entry else None
    if entry is None or text is None:
        return _DEFAULT.inbox_prefix
    tokens = text.split(".")
    if any(not token or token != "".join(token.split()) or "*" in token or ">" in token for token in tokens):
        entry.problem("is not the beginning of a NATS subject; write words joined by dots, for example `_INBOX_app1`")
    return text
