"""No two databases on one place, and none on a place that holds another's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from litefleet.config import Replica, Server
from litefleet.config.targets import Targets

_REPLICA = st.builds(
    Replica,
    server=st.sets(st.sampled_from(["nats://a:1", "nats://b:1", "nats://c:1"]), min_size=1, max_size=2).map(
        lambda urls: Server(tuple(sorted(urls)))
    ),
    bucket=st.sampled_from(["x", "y"]),
    path=st.lists(st.sampled_from(["p", "q", "pq"]), max_size=3).map("/".join),
)


def collide(one: Replica, other: Replica) -> bool:
    """The rule itself."""
    if one.bucket != other.bucket or not set(one.server.urls) & set(other.server.urls):
        return False
    inner, outer = (f"/{path}/" if path else "/" for path in (one.path, other.path))
    return inner.startswith(outer) or outer.startswith(inner)


@given(steps=st.lists(st.tuples(_REPLICA, st.booleans()), max_size=30))
def test_claims_are_granted_exactly_when_nothing_is_in_the_way(steps: list[tuple[Replica, bool]]) -> None:
    targets: Targets[int] = Targets()
    held: dict[int, Replica] = {}
    for number, (replica, release_first) in enumerate(steps):
        if release_first and held:
            targets.release(held.pop(min(held)))
        claim = targets.claim(replica, number)
        if claim is None:
            assert not any(collide(replica, other) for other in held.values())
            held[number] = replica
        else:
            assert collide(replica, held[claim.owner])
            assert claim.replica == held[claim.owner]
