"""What goes wrong in a round, and when: drawn from a seed, which so tells the same story again. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: Seconds of a round in which faults begin, and the most that one lasts.
SPAN, LONGEST = 5.0, 8.0
NODES = 3
HOUR, DAY = 3600, 24 * 3600


@dataclass(frozen=True, slots=True)
class Fault:
    """``kind`` from ``begin`` to ``end``, in seconds of the round; ``nodes`` are those it concerns, if it does any."""

    kind: str
    begin: float
    end: float
    nodes: tuple[int, ...] = ()
    #: A shift of the clock in seconds, bytes a second, or seconds of delay.
    amount: float = 0.0

    def __str__(self) -> str:
        where = f" {','.join(map(str, self.nodes))}" if self.nodes else ""
        amount = f" {self.amount:+g}" if self.amount else ""
        return f"{self.kind}{where}{amount} {self.begin:.1f}-{self.end:.1f}s"


def _nothing(_: random.Random) -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class Source:
    """Faults of which a round has one at most."""

    kinds: tuple[str, ...]
    #: How often, against the others.
    weight: int
    draw: Callable[[random.Random], Mapping[str, object]] = field(default=_nothing)


def _some_nodes(chance: random.Random) -> Mapping[str, object]:
    """One node, two (no quorum is left), or all."""
    count = chance.choices((1, 2, 3), (5, 3, 2))[0]
    return {"nodes": tuple(sorted(chance.sample(range(NODES), count)))}


def _clock(chance: random.Random) -> Mapping[str, object]:
    """Backwards as often as forwards."""
    return {"amount": float(chance.choice((-1, 1)) * chance.choice((2, 90, HOUR, DAY, 40 * DAY)))}


SOURCES = (
    Source(("agent killed", "agent stopped", "agent frozen", "agent reloaded"), 7),
    Source(("nodes killed", "nodes stopped", "nodes frozen"), 6, _some_nodes),
    Source(("links cut", "links refused", "links hung"), 5, _some_nodes),
    Source(("links slow",), 1, lambda chance: {"amount": chance.choice((5e6, 1e6))}),
    Source(("links far",), 1, lambda chance: {"amount": chance.choice((0.1, 0.3))}),
    Source(("data disk full", "spool disk full", "store disk full"), 4),
    Source(("clock jumps",), 3, _clock),
    Source(("application killed",), 2),
)
KINDS = tuple(kind for source in SOURCES for kind in source.kinds)


def draw(chance: random.Random, possible: frozenset[str]) -> tuple[Fault, ...]:
    """The faults of one round, one to four at once; only of kinds that are ``possible``."""
    sources = [(source, kinds) for source in SOURCES if (kinds := [one for one in source.kinds if one in possible])]
    faults: list[Fault] = []
    for _ in range(chance.choices((1, 2, 3, 4), (3, 4, 3, 2))[0]):
        if sources:
            chosen = chance.choices(sources, [source.weight for source, _ in sources])[0]
            sources.remove(chosen)
            source, kinds = chosen
            begin = round(chance.uniform(0, SPAN), 1)
            end = round(begin + chance.uniform(0.2, LONGEST), 1)
            faults.append(Fault(chance.choice(kinds), begin, end, **source.draw(chance)))  # type: ignore[arg-type]
    return tuple(sorted(faults, key=lambda fault: fault.begin))
