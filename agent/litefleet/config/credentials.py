"""Who the agent is to NATS: exactly one kind of credentials, or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from litefleet.config.document import Entry, Section
from litefleet.config.files import check_creds, check_jwt, check_seed, check_seed_file
from litefleet.config.settings import Credentials

_KINDS = {
    "username": "`username`/`password`",
    "password": "`username`/`password`",
    "token": "`token`",
    "nkey": "`nkey`",
    "jwt": "`jwt`/`seed`",
    "seed": "`jwt`/`seed`",
    "creds": "`creds`",
}
#: Keys that mean something only together; each one of a pair may come from another level.
_PAIRS = (("username", "password"), ("jwt", "seed"))


@dataclass(frozen=True, slots=True)
class _Given:
    """A setting, and the entry to blame for it."""

    entry: Entry
    #: None if the value was refused already; that it was given still counts.
    value: str | None = field(repr=False)


def read_credentials(
    own: Section,
    top: Section,
    *,
    own_url: Mapping[str, str],
    top_url: Mapping[str, str],
    url: Entry | None,
) -> Credentials:
    """The credentials of the nearest level that has any; ``own_url`` and ``top_url`` are what the URL there says."""
    near, far = _given(own, own_url, url), _given(top, top_url, url)
    chosen = near or far
    for pair in _PAIRS:
        if near and set(near) < set(pair):
            chosen = {key: far[key] for key in pair if key in far} | near
    return _exactly_one(chosen)


def _given(section: Section, from_url: Mapping[str, str], url: Entry | None) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    if url is not None:
        given = {key: _Given(url, value) for key, value in from_url.items()}
    for key in _KINDS:
        entry = section.get(key)
        if entry is None:
            continue
        value = entry.text()
        if value is not None and from_url.get(key, value) != value:
            entry.problem("differs from the user information in `url`; keep one of them")
        given[key] = _Given(entry, value)
    return given


def _exactly_one(given: Mapping[str, _Given]) -> Credentials:
    kinds = dict.fromkeys(_KINDS[key] for key in given)
    if len(kinds) > 1:
        _last(given.values()).problem(
            f"more than one kind of credentials: {_and(kinds)}{_hidden(given)}; keep the one that the server expects"
        )
        return Credentials()
    for pair, advice in zip(_PAIRS, ("give both, or use `token`", "give both, or one file with `creds`"), strict=True):
        for key, missing in (pair, pair[::-1]):
            if key in given and missing not in given:
                given[key].entry.problem(f"is given without `{missing}`; {advice}")
    creds, nkey, seed = given.get("creds"), given.get("nkey"), _seed(given.get("seed"))
    return Credentials(
        username=_value(given, "username"),
        password=_value(given, "password"),
        token=_value(given, "token"),
        nkey=_nkey(nkey) if nkey else None,
        creds=_creds(creds.entry) if creds else None,
        jwt=_jwt(given.get("jwt"), seed),
        seed=seed,
    )


def _seed(given: _Given | None) -> str | None:
    if given is None or given.value is None:
        return None
    try:
        check_seed(given.value)
    except ValueError as error:
        given.entry.problem(str(error))
        return None
    return given.value


def _jwt(given: _Given | None, seed: str | None) -> str | None:
    """As it is written; that it belongs to ``seed`` shows without a server."""
    if given is None or given.value is None:
        return None
    try:
        check_jwt(given.value, seed)
    except ValueError as error:
        given.entry.problem(str(error))
    return given.value


def _nkey(given: _Given) -> str | None:
    """The seed itself, or the absolute path of the file that holds it."""
    if given.value is None:
        return None
    if given.value.startswith(("/", "~/")):
        path = given.entry.file()
        if path is not None:
            given.entry.check_file(path, check_seed_file)
        return None if path is None else str(path)
    try:
        check_seed(given.value)
    except ValueError as error:
        given.entry.problem(f"{error}; or give the absolute path of a file that holds it")
    return given.value


def _creds(entry: Entry) -> Path | None:
    path = entry.file()
    if path is not None:
        entry.check_file(path, check_creds)
    return path


def _value(given: Mapping[str, _Given], key: str) -> str | None:
    return given[key].value if key in given else None


def _last(given: Iterable[_Given]) -> Entry:
    return max((one.entry for one in given), key=lambda entry: entry.line)


def _hidden(given: Mapping[str, _Given]) -> str:
    """Where to look for the one that has no key of its own."""
    return " (one is in `url`)" if any(one.entry.path.endswith(".url") for one in given.values()) else ""


def _and(kinds: Iterable[str]) -> str:
    *first, last = kinds
    return f"{', '.join(first)} and {last}"
