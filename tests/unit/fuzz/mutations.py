"""Strategies that change valid inputs the way damage and malice do."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

#: What a length, a count, a page number or a time can be at worst.
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1)
#: Text that means something to one of the readers.
_WORDS = (
    b"\0",
    b"\n",
    b"\r\n",
    b"[",
    b"{",
    b'"',
    b"*a",
    b"<<: ",
    b"${",
    b"%",
    b"9" * 30,
    b"\xc2\xb2",
    b"\\ud800",
    b"-",
    b".",
)


@st.composite
def mutated(draw: st.DrawFn, inputs: Sequence[bytes], longest: int) -> bytes:
    """One of ``inputs`` after a few changes, at most ``longest`` bytes."""
    content = draw(st.sampled_from(inputs))
    for kind in draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=4)):
        at = draw(st.integers(0, len(content)))
        if kind == "flip" and at < len(content):
            content = content[:at] + bytes((content[at] ^ 1 << draw(st.integers(0, 7)),)) + content[at + 1 :]
        elif kind == "number":
            size = draw(st.sampled_from((1, 2, 4, 8)))
            number = draw(st.sampled_from(_EXTREMES)) & ((1 << 8 * size) - 1)
            order = draw(st.sampled_from(("big", "little")))
            content = content[:at] + number.to_bytes(size, "big" if order == "big" else "little") + content[at + size :]
        elif kind == "truncate":
            content = content[:at]
        elif kind == "drop":
            content = content[:at] + content[at + draw(st.integers(1, 64)) :]
        elif kind == "splice":
            other = draw(st.sampled_from(inputs))
            content = content[:at] + other[draw(st.integers(0, len(other))) :]
        elif kind == "repeat":
            piece = content[at : at + draw(st.integers(1, 32))]
            content = content[:at] + piece * draw(st.sampled_from((2, 20, 200))) + content[at:]
        elif kind == "word":
            content = content[:at] + draw(st.sampled_from(_WORDS)) + content[at:]
    return content[:longest]


_KINDS = ("flip", "number", "truncate", "drop", "splice", "repeat", "word")
