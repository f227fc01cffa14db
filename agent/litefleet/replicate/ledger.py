"""What the bucket of one database holds, kept in memory from one listing on: nobody else writes to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from litefleet.bucket import Catalogue, LTXFile
from litefleet.nats.objects import ObjectInfo


class Ledger:
    """Shared by the tasks of one database."""

    def __init__(self) -> None:
        #: Set at every change; whoever waits for it clears it.
        self.changed = asyncio.Event()
        self._files: dict[str, LTXFile] = {}

    def reset(self, catalogue: Catalogue) -> None:
        """Believe a listing, and nothing from before."""
        self._files = {file.object.name: file for file in catalogue.files}
        self.changed.set()

    def add(self, stored: ObjectInfo) -> None:
        """Note an acknowledged object."""
        file = LTXFile.from_object(stored)
        if file is not None:
            self._files[stored.name] = file
            self.changed.set()

    def discard(self, files: Iterable[LTXFile]) -> None:
        """Note that objects are gone."""
        for file in files:
            self._files.pop(file.object.name, None)

    def has(self, name: str) -> bool:
        """Whether an object of that name should be in the bucket."""
        return name in self._files

    def catalogue(self) -> Catalogue:
        """The files as of now."""
        return Catalogue.sorted(self._files.values())
