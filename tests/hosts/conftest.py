"""Real hosts for the tests of this directory: they need root and fail, saying what is missing, where it is not so."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from testhosts import Fleet


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Two running hosts, ``one`` and ``two``, in a fleet of the module's own."""
    with Fleet(f"test{os.getpid()}") as hosts:
        hosts.up(["one", "two"])
        yield hosts


@pytest.fixture
def second_fleet() -> Iterator[Fleet]:
    """A fleet of the test's own, still empty."""
    with Fleet(f"second{os.getpid()}") as hosts:
        yield hosts
