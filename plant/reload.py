"""What a reload of plant.yaml changed: told to whoever asked for it, and written to the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from plant.config import PlantConfig


@dataclass(frozen=True, slots=True)
class Difference:
    """Names, sorted by what happened to them."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @classmethod
    def between(cls, old: Mapping[str, object], new: Mapping[str, object]) -> Difference:
        """
        >>> Difference.between({"a": 1, "b": 1, "c": 1}, {"b": 1, "c": 2, "d": 1})
        Difference(added=('d',), changed=('c',), removed=('a',), kept=('b',))
        """
        return cls(
            added=tuple(name for name in new if name not in old),
            changed=tuple(name for name in new if name in old and new[name] != old[name]),
            removed=tuple(name for name in old if name not in new),
            kept=tuple(name for name in new if name in old and new[name] == old[name]),
        )

    def __str__(self) -> str:
        """
        >>> str(Difference(added=("a", "b"), kept=("c",)))
        '2 added (a, b), 1 kept'
        """
        told = [
            f"{len(names)} {what}" + (f" ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})")
            for what, names in (("added", self.added), ("changed", self.changed), ("removed", self.removed))
            if names
        ]
        return ", ".join([*told, f"{len(self.kept)} kept"])


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """What became of everything. A source counts as changed when its settings or any of its tags changed: it was
    stopped and started again; one that was kept went on without a missed cycle."""

    sources: Difference
    machines: Difference
    tags: Difference

    @classmethod
    def of(cls, old: PlantConfig, new: PlantConfig, sources: Difference) -> ReloadResult:
        return cls(
            sources=sources,
            machines=Difference.between(old.machines, new.machines),
            tags=Difference.between({t.id: t for t in old.tags()}, {t.id: t for t in new.tags()}),
        )

    def __str__(self) -> str:
        return f"sources: {self.sources}; machines: {self.machines}; tags: {self.tags}"


Reload = Callable[[], Awaitable[ReloadResult]]
"""Reads plant.yaml again and applies it, or raises ConfigError and leaves everything as it was."""
