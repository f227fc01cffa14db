"""A replica's own section over what the top level says for all replicas; the nearer one wins."""

from __future__ import annotations

from dataclasses import dataclass

from litefleet.config.document import Entry, Section


@dataclass(frozen=True, slots=True)
class Layers:
    """The replica's own section over the top level."""

    own: Section
    top: Section

    def get(self, key: str) -> Entry | None:
        """The nearest value of ``key``."""
        return self.own.get(key) or self.top.get(key)

    def level_of(self, key: str) -> Section | None:
        """Where :meth:`get` found ``key``."""
        return next((section for section in (self.own, self.top) if section.get(key)), None)
