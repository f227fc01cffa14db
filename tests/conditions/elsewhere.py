"""Weaknesses that have no condition of their own, and why."""

from __future__ import annotations

#: What it is, and the conditions that show it.
SHOWN: dict[int, tuple[str, tuple[int, ...]]] = {
    801: ("A read of an object that takes more than 5 s fails", (8, 802)),
    803: ("`-parallelism` of a restore is ignored", (802,)),
    807: ("A list of all objects, tombstones too, for each question", (11,)),
    808: ("Lists of an idle program", (13,)),
}
NOT_PROVOKED: dict[int, str] = {
    15: "`tls: true` ignored, a crash where the bucket is missing: Litestream before 0.5.16 only.",
    818: "A follower (`restore -f`) that cannot go on after a restart: litefleet has no follow mode.",
}
