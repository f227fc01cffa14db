"""Every command that README.md and docs/ print is one that litefleet has, with options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from litefleet.cli.main import _COMMANDS, _parser

ROOT = Path(__file__).parents[3]
#: The page of conditions quotes what programs have said.
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.name != "conditions.md"]
NAMES = {module.__name__.rpartition(".")[2].replace("_", "-") for module in _COMMANDS}


def commands(page: Path) -> list[list[str]]:
    """The words of each command, in a block for a shell or inside the text."""
    text = page.read_text()
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`([^`]+)`", re.sub("^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))
    lines = [line for block in blocks for line in block.splitlines()] + [" ".join(found.split()) for found in inline]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("litefleet ")]


def test_there_are_commands_on_the_pages() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_command_of_a_page_is_one(page: Path) -> None:
    for words in commands(page):
        if len(words) == 1:
            assert words[0] in NAMES, words
        else:
            _parser().parse_args(words)  # raises UsageError, with the reason


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([\w-]+))?\)", page.read_text()):
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not anchor or anchor in _anchors(there), (target, anchor)


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
