"""Variables are replaced value by value, once, and never silently by nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.config import Database, parse
from litefleet.config.environment import ExpansionError, expand
from litefleet.errors import ConfigError

FILE = """
dbs:
  - path: {path}
    replica:
      url: nats://h/b
      username: u
      password: {password}
      max-reconnects: {number}
      tls: {tls}
"""


def only(
    path: str = "/a.db",
    password: str = "p",
    number: str = "1",
    tls: str = "false",
    *,
    expand_env: bool = True,
    **environ: str,
) -> Database:
    """The database of :data:`FILE`, filled in."""
    text = FILE.format(path=path, password=password, number=number, tls=tls)
    (database,) = parse(text, source="f.yml", expand_env=expand_env, environ=environ).databases
    return database


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_value_of_a_variable_arrives_unchanged(value: str) -> None:
    assert only(password="${PW}", PW=value).replica.server.credentials.password == value


@given(st.text())
def test_doubling_each_dollar_keeps_any_text_as_it_is(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}, secret=True) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A/${B}", "1/$A"),
        ("${A}B", "1B"),
        ("$$A", "$A"),
        ("$$$A", "$1"),
        ("100$", "100$"),
        ("$2y$10$", "$2y$10$"),
        ("a$-b", "a$-b"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "$A"}, secret=False) == expected


@pytest.mark.parametrize("text", ["${", "${}", "${A", "${A-B}", "${A:-x}"])
def test_broken_braces_are_an_error_that_repeats_nothing(text: str) -> None:
    with pytest.raises(ExpansionError, match=r"write `\$\{NAME\}`") as caught:
        expand(f"secret{text}", {"A": "1"}, secret=True)
    assert "secret" not in str(caught.value)


def test_unset_variables_are_named_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        only(path="/data/$NAME-$KIND.db", password="${NATS_PASSWORD}")
    for name in ("NAME", "KIND", "NATS_PASSWORD"):
        assert f"environment variable `{name}` is not set" in str(caught.value)


def test_variable_set_to_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"password: is empty \(the environment variable is set to nothing\)"):
        only(password="${PW}", PW="")


def test_without_expansion_the_text_stays() -> None:
    database = only(path="/a/$$x/${B}.db", password="$PW", expand_env=False, PW="no", B="no")
    assert str(database.path) == "/a/$$x/${B}.db"
    assert database.replica.server.credentials.password == "$PW"


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_variable_may_hold_a_number_or_a_boolean(quote: str) -> None:
    server = only(number=f"{quote}${{N}}{quote}", tls=f"{quote}$T{quote}", N="7", T="true").replica.server
    assert (server.max_reconnects, server.tls is not None) == (7, True)


def test_value_of_a_variable_is_not_repeated_when_it_does_not_fit() -> None:
    with pytest.raises(ConfigError) as caught:
        only(number="$PW", tls="$PW", PW="hunter2")
    assert "max-reconnects" in str(caught.value)
    assert "hunter2" not in str(caught.value)
