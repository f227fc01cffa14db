"""Whether to encrypt, whom to trust, and which certificate to show."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from litefleet.config.document import Entry
from litefleet.config.files import check_client_cert, check_client_key, check_root_ca
from litefleet.config.layers import Layers
from litefleet.config.settings import TLS

#: Keys that ask for TLS by themselves.
_FILES = ("root-cas", "client-cert", "client-key")


def read_tls(layers: Layers, *, in_url: bool) -> TLS | None:
    """`tls` and the files that go with it; ``in_url`` says that the URL is ``tls://``."""
    entry, cas = layers.get("tls"), layers.get("root-cas")
    asked = entry.boolean() if entry else None
    certificate, key = _client(layers)
    tls = TLS(_root_cas(cas) if cas else (), certificate, key)
    given = [name for name in _FILES if layers.get(name)]
    if entry is None or asked is not False:
        return tls if asked or given or in_url else None
    switched_off_by = layers.level_of("tls")
    for name, said in (*((name, f"`{name}` is given") for name in given), *([("url", "`url` says tls://")] * in_url)):
        wanted_by = layers.level_of(name)
        if wanted_by is layers.own and switched_off_by is layers.top:
            return tls
        # A replica may do without the files of the top level; it cannot keep the URL and drop the URL's scheme.
        if wanted_by is switched_off_by or name == "url":
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


def _client(layers: Layers) -> tuple[Path | None, Path | None]:
    """The certificate that we show to the server, and its key."""
    cert, key = layers.get("client-cert"), layers.get("client-key")
    for entry, missing, other in ((cert, "client-key", key), (key, "client-cert", cert)):
        if entry is not None and other is None:
            entry.problem(f"is given without `{missing}`; give both")
    cert_file, key_file = cert.file() if cert else None, key.file() if key else None
    if cert and cert_file:
        cert.check_file(cert_file, check_client_cert)
    if key and key_file:
        key.check_file(key_file, partial(check_client_key, certificate=cert_file))
    return cert_file, key_file
