"""Of the open databases those that were idle longest are asked to let go, and only as many as are too many."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from litefleet.replicate import openings as module
from litefleet.replicate.openings import Openings


class Agent:
    """Databases that close when they are asked to, or only note it."""

    def __init__(self, limit: int) -> None:
        self.openings = Openings(limit)
        self.asked: list[str] = []

    def busy(self, *names: str) -> None:
        for name in names:
            self.openings.busy(Path(name))

    def idle(self, *names: str) -> None:
        for name in names:
            self.openings.idle(Path(name), partial(self.asked.append, name))

    def closed(self, *names: str) -> None:
        for name in names:
            self.openings.closed(Path(name))


def test_nobody_is_asked_within_the_limit() -> None:
    agent = Agent(2)
    agent.busy("a", "b")
    agent.idle("a", "b")
    assert agent.asked == []
    assert len(agent.openings) == 2


def test_the_longest_idle_is_asked_once() -> None:
    agent = Agent(2)
    agent.busy("a", "b", "c")
    agent.idle("b", "a", "c")
    assert agent.asked == ["b"], "the other two are not too many, once it has closed its files"
    agent.closed("b")
    agent.idle("a")
    assert agent.asked == ["b"]


def test_who_could_not_let_go_is_asked_again_or_another_is() -> None:
    agent = Agent(1)
    agent.busy("a", "b")
    agent.idle("a")
    assert agent.asked == ["a"]
    agent.busy("a")
    agent.idle("b")
    assert agent.asked == ["a", "b"]
    agent.idle("b")
    assert agent.asked == ["a", "b", "b"]


def test_who_was_busy_in_between_is_not_asked() -> None:
    agent = Agent(2)
    agent.busy("a", "b")
    agent.idle("a", "b")
    agent.busy("a", "c")
    agent.idle("c")
    assert agent.asked == ["b"]


def test_what_is_closed_is_not_idle() -> None:
    agent = Agent(1)
    agent.busy("a")
    agent.closed("a")
    agent.idle("a")
    assert len(agent.openings) == 0
    assert agent.asked == []


async def test_who_wants_to_open_waits_for_room_and_asks_for_it() -> None:
    agent = Agent(1)
    agent.busy("a")
    agent.idle("a")
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(agent.openings.room())
        # One turn of the loop lets the other task run until it waits.
        await asyncio.sleep(0)
        assert agent.asked == ["a"]
        assert not waiting.done()
        agent.closed("a")
        await waiting


async def test_nobody_waits_for_ever_for_what_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    agent = Agent(1)
    agent.busy("a")
    async with asyncio.timeout(30):
        await agent.openings.room()
    assert agent.asked == []
