"""What can be fuzzed: one function of bytes, and the limits it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` returns whatever the input is; what it raises is a defect."""

    name: str
    run: Callable[[bytes], None]
    #: The longest input, in bytes.
    longest: int
    #: Bytes that one input may make the process hold beyond what it held before.
    memory: int = 16 * MIB
    #: How many of the inputs of a whole run this one gets, relative to the others.
    share: float = 1.0


class Cut:
    """Takes pieces off the front of an input: the choices that come before the content."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def byte(self) -> int:
        """The next byte; 0 when there is none."""
        value, self.rest = self.rest[:1], self.rest[1:]
        return value[0] if value else 0

    def number(self, size: int) -> int:
        """The next ``size`` bytes as a number."""
        value, self.rest = self.rest[:size], self.rest[size:]
        return int.from_bytes(value, "big")

    def piece(self) -> bytes:
        """As many bytes as the next two say, or what is left."""
        length = self.number(2)
        value, self.rest = self.rest[:length], self.rest[length:]
        return value


def text_of(data: bytes) -> str | None:
    """The text, as a file of it would be read; None if it is none."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
