"""What the demo shows: numbered steps, what is going on right now, tables."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

_MARGIN = " " * 12
_REDRAW_SECONDS = 0.2
_CODES = {"bold": "1", "dim": "2", "green": "32", "red": "31", "yellow": "33"}


class Screen:
    """Prints to a terminal with colours and a line that moves, and elsewhere plain lines only."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._terminal = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._colours = self._terminal and not os.environ.get("NO_COLOR")
        self._began = time.monotonic()
        self._number = 0
        self._now = ""
        self._lock = threading.Lock()
        #: Seconds of each finished step, by its name.
        self.seconds: dict[str, float] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    def paint(self, text: str, style: str) -> str:
        """The text in bold, dim, green, red or yellow, where colours can be shown."""
        return f"\033[{_CODES[style]}m{text}\033[0m" if self._colours else text

    @contextlib.contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """A numbered step. Its seconds are kept under ``name`` unless it fails."""
        self._number += 1
        self._print(f"{self.elapsed:6.1f} s {self._number:2}  {self.paint(title, 'bold')}")
        began = time.monotonic()
        stop = threading.Event()
        redraw = threading.Thread(target=self._redraw, args=(began, stop), daemon=True)
        if self._terminal:
            redraw.start()
        try:
            yield
        finally:
            stop.set()
            if self._terminal:
                redraw.join()
            self.now("")
        self.seconds[name] = time.monotonic() - began

    def now(self, text: str) -> None:
        """What is going on; stays until something else does."""
        with self._lock:
            self._now = text
            if self._terminal and not text:
                self._out.write("\r\033[K")
                self._out.flush()

    def say(self, text: str = "", style: str = "") -> None:
        """A line of the step, or several."""
        for line in text.splitlines() or [""]:
            self._print(_MARGIN + (self.paint(line, style) if style else line))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as they need to be."""
        lines = columns([headings, *rows])
        self.say(lines[0], "dim")
        for line in lines[1:]:
            self.say(line)

    def _print(self, line: str) -> None:
        with self._lock:
            self._out.write(f"\r\033[K{line}\n" if self._terminal else f"{line}\n")
            self._out.flush()

    def _redraw(self, began: float, stop: threading.Event) -> None:
        while not stop.wait(_REDRAW_SECONDS):
            with self._lock:
                if self._now:
                    seconds = f"{time.monotonic() - began:.0f} s  "
                    room = shutil.get_terminal_size().columns - len(_MARGIN) - 1
                    line = f"{seconds}{self._now}"[:room]
                    self._out.write(f"\r\033[K{_MARGIN}{self.paint(line, 'dim')}")
                    self._out.flush()


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines whose cells stand below each other."""
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
