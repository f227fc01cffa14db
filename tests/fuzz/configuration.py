"""The configuration: the YAML text, and each language inside it."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import yaml

from litefleet.config import describe, effective, parse, replica_from_url
from litefleet.config.environment import ExpansionError, expand
from litefleet.config.files import check_creds, check_seed, check_seed_file
from litefleet.config.settings import Credentials
from litefleet.config.urls import URLError, parse_urls
from litefleet.config.values import format_duration, parse_duration, parse_size
from litefleet.errors import AuthenticationFailed, ConfigError, UsageError
from litefleet.nats.credentials import login_options, read_creds
from tests.fuzz.target import text_of

SECRET = "CANARY-31415"
#: As of a service: one variable with a secret, one with nothing, one with bytes that are no text.
ENVIRON = {"NATS_PASSWORD": SECRET, "NATS_URL": "nats://h1,h2:4223/b", "EMPTY": "", "HOME": "/root", "RAW": "\udcff"}


def settings(data: bytes) -> None:
    """A whole file: settings that can be shown and written, or one ConfigError; a secret is in neither."""
    text = text_of(data)
    if text is None:
        return
    try:
        found = parse(text, source="fuzz.yml", environ=ENVIRON)
    except ConfigError as error:
        assert str(error).startswith(("fuzz.yml:", f"{str(error).split(' ')[0]} problems in the configuration\n"))
        if SECRET not in text:
            assert SECRET not in str(error) or "path" in str(error)
        return
    shown = yaml.safe_dump(effective(found))
    for database in found.databases:
        credentials = database.replica.server.credentials
        hidden = replace(credentials, password=None, token=None)
        assert repr(credentials) == repr(hidden)
    assert describe(found)
    assert shown


def environment(data: bytes) -> None:
    """A value with variables in it; a set secret is never in the error."""
    text = text_of(data)
    if text is None:
        return
    for secret in (True, False):
        try:
            found = expand(text, ENVIRON, secret=secret)
        except ExpansionError as error:
            assert error.reasons
            assert SECRET not in str(error) or SECRET in text
        else:
            assert len(found) <= len(text) * 8


def urls(data: bytes) -> None:
    """A list of URLs; what was read is read again as the same."""
    text = text_of(data)
    if text is None:
        return
    try:
        found = parse_urls(text.split("\n"))
    except URLError:
        found = None
    if found is not None:
        assert found.urls
        assert parse_urls(found.urls).urls == found.urls
        assert parse_urls([",".join(found.urls)]).urls == found.urls
        assert repr(found) == repr(replace(found, password=None, token=None))
    try:
        replica = replica_from_url(text)
    except UsageError:
        return
    again = replica_from_url(replica.url)
    assert (again.server.urls, again.bucket, again.path) == (replica.server.urls, replica.bucket, replica.path)


def values(data: bytes) -> None:
    """A duration or a size; a duration is written so that reading gives the same."""
    text = text_of(data)
    if text is None:
        return
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        assert len(str(error)) < 200
    else:
        assert math.isfinite(seconds)
        assert math.isclose(parse_duration(format_duration(seconds)), seconds, abs_tol=1e-9)
    try:
        size = parse_size(text)
    except ValueError as error:
        assert len(str(error)) < 200
    else:
        assert size >= 0


class Memory:
    """A file without a place on any disk, that has a path."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("fuzz")
        self.path = Path(f"/proc/self/fd/{self._descriptor}")

    def write(self, content: bytes) -> Path:
        """Replace what it holds."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)
        return self.path


_FILE = Memory()


def creds(data: bytes) -> None:
    """A creds file: what the configuration's check accepts, the login accepts too."""
    path = _FILE.write(data)
    accepted = True
    try:
        check_creds(path)
    except ValueError:
        accepted = False
    try:
        read_creds(path)
    except AuthenticationFailed:
        assert not accepted


def nkey(data: bytes) -> None:
    """A seed, given as text or in a file: accepted by the check, accepted by the login."""
    text = text_of(data)
    if text is None:
        return
    accepted = True
    try:
        check_seed(text)
    except ValueError as error:
        accepted = False
        assert len(text) < 20 or text not in str(error)
    if not text.startswith("/"):
        try:
            login_options(Credentials(nkey=text))
        except AuthenticationFailed as error:
            assert not accepted
            assert len(text) < 20 or text not in str(error)
    try:
        check_seed_file(_FILE.write(data))
    except ValueError:
        assert not accepted
