"""docs/configuration.md has every key of the file and no other, with the default that holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from litefleet.config import effective, keys, parse
from litefleet.config.values import parse_duration, parse_size

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
LEVELS = {
    "Top level": keys.TOP,
    "`snapshot`": keys.SNAPSHOT,
    "`retention`": keys.RETENTION,
    "An entry of `levels`": keys.COMPACTION,
    "`logging`": keys.LOGGING,
    "`socket`": keys.SOCKET,
    "`spool`": keys.SPOOL,
    "An entry of `dbs`": keys.DATABASE,
    "A `replica`": keys.REPLICA,
}
MINIMAL = """
socket: {enabled: true}
dbs:
  - {path: /a.db, replica: {url: "nats://h", bucket: b}}
  - {dir: /d, pattern: "*.db", replica: {url: "nats://h", bucket: "{name}"}}
"""


def rows(title: str) -> dict[str, str]:
    """Key and default of the table under a heading."""
    section = re.split(r"^#+ ", PAGE.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return {key: default.strip() for key, default in re.findall(r"^\| `([\w-]+)` \|([^|]*)\|", section, re.MULTILINE)}


@pytest.mark.parametrize(("title", "level"), LEVELS.items(), ids=list(LEVELS))
def test_the_page_has_every_key_and_no_other(title: str, level: keys.Level) -> None:
    # The page says in one sentence that the top level takes those of a replica too.
    expected = level.known - (keys.REPLICA.known if level is keys.TOP else set())
    assert set(rows(title)) == expected


def test_the_defaults_of_the_page_are_those_that_hold() -> None:
    shown: dict[str, Any] = effective(parse(MINIMAL, source="f", environ={}))
    database = {**shown["dbs"][1], **shown["dbs"][0]}
    parts = {title: shown[title.strip("`")] for title in LEVELS if title.startswith("`")}
    parts |= {"Top level": shown, "An entry of `dbs`": database, "A `replica`": database["replica"]}
    told = 0
    for title, part in parts.items():
        for key, default in rows(title).items():
            if match := re.match(r"`([^`]+)`", default):
                value = part[key] if key != "levels" else part[key][0]["interval"]
                assert same(match[1], value), (title, key, default, value)
                told += 1
            elif not default.startswith(("required", "this or")):
                # Sections of their own, and what there is nothing of.
                assert isinstance(part.get(key), dict | None), (title, key)
    assert told > 25
    assert "`30s`, `5m`, `1h`" in rows("Top level")["levels"]
    assert shown["levels"] == [{"interval": "30s"}, {"interval": "5m"}, {"interval": "1h"}]


def same(text: str, value: object) -> bool:
    if isinstance(value, bool) or value is None:
        return yaml.safe_load(text) is value
    if isinstance(value, int):
        return (parse_size(text) if text[-1].isalpha() else int(text)) == value
    if isinstance(value, str) and re.fullmatch(r"[0-9]+[a-z]+", text):
        return parse_duration(text) == parse_duration(value)
    return text == value


def test_the_example_of_the_page_is_valid() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    settings = parse(example, source="f", environ={})
    assert len(settings.databases) == len(settings.directories) == 1
    assert settings.directories[0].template.replica.server == settings.databases[0].replica.server
