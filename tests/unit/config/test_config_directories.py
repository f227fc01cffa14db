"""Directories of databases: each file gets a place of its own, by template."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.config import Database, Directory, Replica, Server, expand, parse
from litefleet.config.urls import check_bucket, clean_path
from litefleet.errors import ConfigError

SERVER = Server(("nats://h:4222",))
DIRECTORY = Path("/data")


def directory(bucket: str, path: str) -> Directory:
    """One with this template."""
    return Directory(DIRECTORY, "*", True, True, Database(DIRECTORY, Replica(SERVER, bucket, path)))


def read(replica: str, entry: str = "") -> Directory:
    """The one entry of a file."""
    text = f"dbs: [{{dir: /data, pattern: '*.db', replica: {{url: 'nats://h', {replica}}}, {entry}}}]"
    settings = parse(text, source="f.yml", environ={})
    assert settings.databases == ()
    (one,) = settings.directories
    return one


def test_entry_is_read_with_all_its_settings() -> None:
    assert read(
        "bucket: b, path: 'x/{name}', timeout: 3s", "recursive: true, watch: true, busy-timeout: 2s"
    ) == Directory(
        directory=Path("/data"),
        pattern="*.db",
        recursive=True,
        watch=True,
        template=Database(
            Path("/data"), Replica(Server(("nats://h:4222",), timeout=3.0), "b", "x/{name}"), busy_timeout=2.0
        ),
    )


def test_subdirectories_and_later_files_are_left_alone_by_default() -> None:
    found = read("bucket: b")
    assert (found.recursive, found.watch) == (False, False)


@pytest.mark.parametrize(
    ("replica", "bucket", "path"),
    [
        ("bucket: b", "b", "{relative}"),
        ("bucket: b, path: /host1/", "b", "host1/{relative}"),
        ("bucket: b, path: 'host1/{name}'", "b", "host1/{name}"),
        ("bucket: 'b-{name}'", "b-{name}", ""),
        ("bucket: '{name}', path: host1", "{name}", "host1"),
        ("bucket: '{name}', path: 'a/{relative}/b'", "{name}", "a/{relative}/b"),
    ],
)
def test_databases_are_told_apart_by_their_file_unless_a_placeholder_does_it(
    replica: str, bucket: str, path: str
) -> None:
    found = read(replica).template.replica
    assert (found.bucket, found.path) == (bucket, path)


@pytest.mark.parametrize(
    ("url", "bucket", "path"),
    [("nats://h/b/{relative}/x", "b", "{relative}/x"), ("nats://h/b-{name}", "b-{name}", "")],
)
def test_placeholders_may_stand_in_the_url(url: str, bucket: str, path: str) -> None:
    text = f"dbs: [{{dir: /data, pattern: '*.db', replica: {{url: '{url}'}}}}]"
    found = parse(text, source="f.yml", environ={}).directories[0].template.replica
    assert (found.bucket, found.path) == (bucket, path)


@pytest.mark.parametrize(
    ("file", "bucket", "path"),
    [
        ("app.db", "x-app", "app.db/app"),
        ("eu/app.v2.db", "x-app-v2", "eu/app.v2.db/app.v2"),
        ("Ünicode café.db", "x--nicode-caf-", "Ünicode café.db/Ünicode café"),
        ("{relative}.db", "x--relative-", "{relative}.db/{relative}"),
        (".hidden", "x--hidden", ".hidden/.hidden"),
    ],
)
def test_placeholders_are_filled_in_once(file: str, bucket: str, path: str) -> None:
    found = expand(directory("x-{name}", "{relative}/{name}"), DIRECTORY / file)
    assert found == Database(DIRECTORY / file, Replica(SERVER, bucket, path))


def test_relative_in_a_bucket_has_no_slashes() -> None:
    assert expand(directory("{relative}", ""), DIRECTORY / "eu/app.db").replica.bucket == "eu-app-db"


@pytest.mark.parametrize("name", ["line\nbreak.db", "...db", "x" * 1025, os.fsdecode(b"\xff.db")])
def test_file_whose_name_gives_no_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be replicated") as caught:
        expand(directory("b", "{name}"), DIRECTORY / name)
    assert "\n" not in str(caught.value)


_NAME = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..")
)


@given(parts=st.lists(_NAME, min_size=1, max_size=4), prefix=st.sampled_from(["", "a/", "{name}/"]))
def test_any_file_gets_a_place_or_is_refused(parts: list[str], prefix: str) -> None:
    file = DIRECTORY.joinpath(*parts)
    try:
        found = expand(directory("{relative}", f"{prefix}{{relative}}"), file)
    except ConfigError:
        return
    check_bucket(found.replica.bucket)
    assert clean_path(found.replica.path) == found.replica.path
    assert found.replica.path.endswith("/".join(parts))


@given(files=st.sets(st.lists(st.from_regex(r"[a-z.]{1,3}", fullmatch=True), min_size=1, max_size=3).map("/".join)))
def test_by_default_no_two_files_share_a_place(files: set[str]) -> None:
    places = set()
    files = {file for file in files if not {"", ".", ".."} & set(file.split("/"))}
    for file in files:
        replica = expand(read("bucket: b"), DIRECTORY / file).replica
        places.add((replica.bucket, replica.path))
    assert len(places) == len(files)
