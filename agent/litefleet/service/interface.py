"""What the control socket, the metrics and the watchdog need of the fleet of databases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from litefleet.config.settings import Database, Settings
from litefleet.replicate.figures import Figures


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What reading the configuration again has changed."""

    added: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()
    changed: tuple[Path, ...] = ()
    #: What could not be applied without a restart; empty if all was.
    note: str = ""


class FleetLike(Protocol):
    """All databases that one agent replicates."""

    @property
    def started(self) -> float:
        """Unix seconds."""

    @property
    def settings(self) -> Settings:
        """The configuration as it was last read."""

    def figures(self) -> tuple[Figures, ...]:
        """One for each database: in the configuration's order, then those that were added."""

    async def sync(self, path: Path) -> Figures:
        """Until all that was committed at the call is acknowledged; the caller bounds it.

        Raises UsageError if there is no such database.
        """

    async def add(self, database: Database) -> bool:
        """Replicate one more; False if it is there already. Raises ConfigError or a NatsError if it cannot be."""

    async def remove(self, path: Path) -> bool:
        """Send its last transactions, then let it go; False if it is unknown. Raises NotDurable."""

    async def reload(self) -> Reloaded:
        """Read the configuration file again; a ConfigError leaves everything as it was."""


def path_text(path: Path | str) -> str:
    """A path for people and labels: bytes that are not UTF-8 are written as escapes, so that it can be encoded."""
    return str(path).encode(errors="backslashreplace").decode()
