"""Whatever reads foreign bytes ends in its own errors, whatever becomes of a valid input, and in bounded memory.

``make fuzz`` gives the same targets many more inputs, guided by the branches they reach.
"""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS
from tests.unit.fuzz.mutations import mutated

EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@pytest.fixture(scope="module")
def inputs() -> dict[str, list[bytes]]:
    """For each target, inputs that the real programs made."""
    return seeds()


def test_every_target_has_inputs_to_begin_with(inputs: dict[str, list[bytes]]) -> None:
    assert set(inputs) == set(TARGETS)
    for name, found in inputs.items():
        assert found
        assert max(map(len, found)) <= TARGETS[name].longest


@EACH
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_changed_inputs_are_read_or_refused_by_name(
    target: Target, inputs: dict[str, list[bytes]], data: st.DataObject
) -> None:
    target.run(data.draw(mutated(inputs[target.name], target.longest)))


@EACH
def test_numbers_that_claim_too_much_take_no_memory(target: Target, inputs: dict[str, list[bytes]]) -> None:
    target.run(b"")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for content in inputs[target.name]:
            target.run(content)
            for at in range(0, min(len(content), 256), 4):
                for claim in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"):
                    target.run(content[:at] + claim + content[at + 4 :])
        for byte in (b"[", b"9", b"\0", b"\xff"):
            target.run(byte * target.longest)
        assert tracemalloc.get_traced_memory()[1] - before < target.memory
    finally:
        tracemalloc.stop()
