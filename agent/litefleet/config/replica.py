"""A database's ``replica`` section, completed by what the top level says for all replicas.

What the section says itself is nearer and wins: a credential in it replaces those of the top level, whatever their
kind. Only what one and the same level says can contradict itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from litefleet.config.credentials import read_credentials
from litefleet.config.document import Entry, Section
from litefleet.config.files import check_root_ca
from litefleet.config.keys import REPLICA, check_keys
from litefleet.config.settings import TLS, Credentials, Replica, Server
from litefleet.config.urls import ForeignURL, Location, URLError, check_bucket, parse_urls

_NATS_ONLY = "litefleet writes to NATS only; write `type: nats`, `url: nats://HOST:4222` and `bucket`"
_DEFAULT = Server(urls=())


@dataclass(frozen=True, slots=True)
class Layers:
    """The replica's own section over the top level."""

    own: Section
    top: Section

    def get(self, key: str) -> Entry | None:
        """The nearest value of ``key``."""
        return self.own.get(key) or self.top.get(key)

    def level_of(self, key: str) -> Section | None:
        """Where :meth:`get` found ``key``."""
        return next((section for section in (self.own, self.top) if section.get(key)), None)


def read_replica(own: Section, top: Section) -> Replica | None:
    """The replica, or None if something was wrong with it; all of that is then among the problems."""
    layers = Layers(own, top)
    if not _is_nats(layers):
        return None
    check_keys(own, REPLICA)
    location = _location(layers)
    known = location or Location(urls=())
    bucket = _bucket(layers, location)
    server = Server(
        urls=known.urls,
        credentials=_credentials(layers, known),
        tls=_tls(layers, known),
        max_reconnects=_max_reconnects(layers),
        reconnect_wait=_duration(layers, "reconnect-wait", _DEFAULT.reconnect_wait, zero=True),
        timeout=_duration(layers, "timeout", _DEFAULT.timeout, zero=False),
        inbox_prefix=_inbox_prefix(layers),
    )
    sync_interval = _duration(layers, "sync-interval", 0.0, zero=True)
    if location is None or bucket is None:
        return None
    return Replica(server=server, bucket=bucket, sync_interval=sync_interval)


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


def _location(layers: Layers) -> Location | None:
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
        return parse_urls(known)
    except ForeignURL as error:
        entry.problem(f"{error}; {_NATS_ONLY}")
    except URLError as error:
        entry.problem(str(error))
    return None


def _bucket(layers: Layers, location: Location | None) -> str | None:
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
        check_bucket(name)
    except URLError as error:
        entry.problem(str(error))
        return None
    if in_url is None or in_url == name:
        return name
    if layers.own.get("url") and layers.own.get("bucket") is None:
        return in_url
    entry.problem(f"is `{name}`, but `url` names bucket `{in_url}`; keep one of them")
    return None


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


def _tls(layers: Layers, location: Location) -> TLS | None:
    entry, cas = layers.get("tls"), layers.get("root-cas")
    asked = entry.boolean() if entry else None
    tls = TLS(root_cas=_root_cas(cas) if cas else ())
    if entry is None or asked is not False:
        return tls if asked or cas or location.tls else None
    switched_off_by = layers.level_of("tls")
    for key, wants_tls, said in (
        ("root-cas", cas is not None, "`root-cas` is given"),
        ("url", location.tls, "`url` says tls://"),
    ):
        if not wants_tls:
            continue
        wanted_by = layers.level_of(key)
        if wanted_by is layers.own and switched_off_by is layers.top:
            return tls
        # A replica may do without the CAs of the top level; it cannot keep the URL and drop the URL's scheme.
        if wanted_by is switched_off_by or key == "url":
            entry.problem(f"is false, but {said}; remove one of them")
    return None


def _root_cas(entry: Entry) -> tuple[Path, ...]:
    paths: dict[Path, None] = {}
    for item in entry.one_or_more() or ():
        path = item.file()
        if path is None:
            continue
        paths[path] = None
        item.check_file(path, check_root_ca)
    return tuple(paths)


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
