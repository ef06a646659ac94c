"""The equipment hierarchy of ISA-95 as far as figures need it: enterprise → site → area → line → machine."""

from __future__ import annotations

from dataclasses import dataclass

from plant.config import MachineConfig
from plant.tags import Tag


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine (ISA-95 work unit) with its place and its tags."""

    id: str
    config: MachineConfig
    path: tuple[str, str, str, str]  # enterprise, site, area, line
    tags: tuple[Tag, ...]

    @property
    def name(self) -> str:
        return self.config.name

    def tag(self, name: str) -> Tag:
        """The tag of that name within the machine; the configuration has made sure that it exists."""
        return next(tag for tag in self.tags if tag.name == name)

    @property
    def chart(self) -> tuple[Tag, ...]:
        """Tags for the machine's page, most important first: those named, else the numeric ones."""
        if self.config.chart:
            return tuple(self.tag(name) for name in self.config.chart)
        return tuple(tag for tag in self.tags if not tag.type.is_text)[:4]
