"""Paths in a shared bucket become the files of a directory again, those that they were made of and no others."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litefleet.bucket.members import catalogues, members, require_mappable
from litefleet.config import expand
from litefleet.config.settings import Database, Directory, Replica, Server
from litefleet.errors import ConfigError
from tests.unit.bucket.objects import listed, ltx

ROOT = Path("/srv/tenants")
SERVER = Server(("nats://127.0.0.1:4222",))
#: Few letters, so that parts of names are mistaken for the text around them if they can be.
WORD = st.text("ab-.", min_size=1, max_size=4).filter(lambda word: word.strip("."))


def directory(
    path: str = "{relative}", *, bucket: str = "b", pattern: str = "*.db", recursive: bool = True
) -> Directory:
    return Directory(ROOT, pattern, recursive, False, Database(ROOT, Replica(SERVER, bucket, path)))


def files(found: tuple[Database, ...]) -> list[str]:
    return [str(database.path.relative_to(ROOT)) for database in found]


@st.composite
def templates(draw: st.DrawFn) -> str:
    literals = st.text("ab/-", max_size=3)
    kinds = draw(st.lists(st.sampled_from(["{relative}", "{name}"]), max_size=2))
    kinds.insert(draw(st.integers(0, len(kinds))), "{relative}")
    text = "".join(draw(literals) + kind for kind in kinds) + draw(literals)
    return re.sub("/+", "/", text).strip("/")


@given(
    templates(), st.lists(st.lists(WORD, min_size=1, max_size=3), max_size=4), st.lists(st.text("ab/.-", max_size=9))
)
@settings(max_examples=400, deadline=None)
def test_every_file_comes_back_from_its_path_and_nothing_else_does(
    template: str, tree: list[list[str]], strange: list[str]
) -> None:
    place = directory(template)
    made: dict[str, Path] = {}
    for parts in tree:
        file = ROOT.joinpath(*parts[:-1], f"{parts[-1]}.db")
        try:
            made[expand(place, file).replica.path] = file
        except ConfigError:
            continue
    found = members(place, [*made, *strange])
    assert set(made.values()) <= {database.path for database in found}
    for database in found:
        assert database.replica.path in {*made, *strange}
        assert database == expand(place, database.path)
        assert database.path.is_relative_to(ROOT)
        assert ".." not in database.path.parts
        assert fnmatchcase(database.path.name, "*.db")
    assert found == tuple(sorted(found, key=lambda database: database.path))


@pytest.mark.parametrize(
    "path",
    ["../etc/x.db", "a/../../x.db", "/etc/x.db", "a//x.db", "./x.db", "a/./x.db", "x.db/..", "x\0.db", "", "..db"],
)
def test_nothing_outside_the_directory_is_ever_named(path: str) -> None:
    assert files(members(directory(), [path])) in ([], ["..db"])


def test_what_the_directory_leaves_out_is_left_out() -> None:
    paths = ["a.db", "sub/b.db", "c.sqlite"]
    assert files(members(directory(), paths)) == ["a.db", "sub/b.db"]
    assert files(members(directory(recursive=False), paths)) == ["a.db"]
    assert files(members(directory("{relative}", pattern="*"), paths)) == ["a.db", "c.sqlite", "sub/b.db"]


def test_a_path_that_holds_another_is_not_of_this_template() -> None:
    assert files(members(directory("host1/{relative}"), ["host1/a.db", "host2/a.db", "a.db", "host1"])) == ["a.db"]


def test_names_alone_will_do_where_all_files_end_alike() -> None:
    place = directory("{name}", recursive=False)
    assert files(members(place, ["a", "b.c", "sub/x"])) == ["a.db", "b.c.db"]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (directory("", bucket="app-{name}"), "nobody lists buckets"),
        (directory("{relative}", bucket="{relative}"), "nobody lists buckets"),
        (directory("{name}"), "does not tell where"),
        (directory("{name}", recursive=False, pattern="*"), "does not tell where"),
        (directory("{name}", recursive=False, pattern="*.d?"), "does not tell where"),
        (directory("{name}", recursive=False, pattern="*.tar.db"), "does not tell where"),
        (directory("{name}", recursive=False, pattern="app*.db"), "does not tell where"),
    ],
)
def test_what_cannot_be_told_is_said(place: Directory, why: str) -> None:
    for attempt in (lambda: require_mappable(place), lambda: members(place, [])):
        with pytest.raises(ConfigError, match=why) as caught:
            attempt()
        assert str(ROOT) in caught.value.message
        assert "one by one" in caught.value.hint


def test_the_files_of_each_path_are_listed_under_their_own_names() -> None:
    objects = [
        ltx(0, 1, 1),
        listed(f"tenants/a.db/{ltx(0, 1, 1).name}"),
        listed(f"tenants/a.db/{ltx(9, 1, 2).name}"),
        listed(f"x/ltx/{ltx(0, 3, 3).name}"),
        listed("tenants/b.db/litefleet/lease"),
        listed("tenants/c.db/ltx/0/none.ltx"),
    ]
    found = catalogues(objects)
    assert {path: [(file.level, file.max_txid) for file in it.files] for path, it in found.items()} == {
        "": [(0, 1)], "tenants/a.db": [(0, 1), (9, 2)], "x/ltx": [(0, 3)],
    }  # fmt: skip
    assert {file.object.name for it in found.values() for file in it.files} == {
        ltx(0, 1, 1).name, ltx(9, 1, 2).name, ltx(0, 3, 3).name,
    }  # fmt: skip
