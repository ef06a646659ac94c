"""Self-healing blocks (pure): a refused block is divided until what cannot be read stands alone.

An exception 2 or 3 says that something in a request cannot be read, not what. The block is divided in the same
turn until each part is read or is a single place; the parts that are read give their values at once. Then

- some places were refused: they are suspects, read alone from now on; the rest is planned around them. A suspect
  refused three times in a row is in quarantine: tried again after 60 s, then ever more rarely, up to 10 min.
- none was refused: the device does not like the request as a whole (an unused register in a gap, or more than it
  can give at once). The divisions are kept, and forgotten after the same times to see whether that has changed.
- all were refused: the device as a whole does not give its values now. The block stays, asked once in each of
  its turns, and is divided again after the same times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from gateway.blocks import Block, Cell, Learned, Limits, cells_of, plan_blocks, split_block
from gateway.schedule import Backoff
from plant.tags import Tag


class Refusal(Enum):
    """What follows from a refused block."""

    STANDS = "stands"  # it remains as it is
    DIVIDED = "divided"  # its parts are in `blocks`, to be read at once
    CONCLUDED = "concluded"  # it was the last part of a division: `blocks` are new


_CONFIRM = 3  # refusals in a row before a place is left alone
_FIRST_S, _CAP_S = 60.0, 600.0


@dataclass(slots=True)
class _Suspect:
    """A place that was refused alone."""

    block: Block
    backoff: Backoff
    refusals: int = 1
    retry_at: float = 0.0


@dataclass(slots=True)
class _Search:
    """The division of one block while it goes on."""

    waiting: list[Block]
    cuts: set[Cell]
    good: int = 0
    refused: list[Block] = field(default_factory=list)


class Healing:
    """The read requests of one unit, as they change with what the device refuses. Times are seconds (monotonic)."""

    def __init__(
        self, tags: Sequence[Tag], limits: Limits, *, unit: int, poll_s: float, random: Random | None = None
    ) -> None:
        self._tags, self._limits, self._unit, self._poll_s = tuple(tags), limits, unit, poll_s
        self._random = random or Random()
        self._suspects: dict[frozenset[str], _Suspect] = {}
        self._cuts: set[Cell] = set()
        self._forget_at = 0.0
        self._forget = self._new_backoff()
        self._whole: dict[frozenset[str], tuple[Backoff, float]] = {}  # refused as a whole: when to divide again
        self._search: _Search | None = None
        self.blocks = self._planned()

    def _new_backoff(self) -> Backoff:
        return Backoff(_FIRST_S / 0.75, _CAP_S, self._random)

    def is_alone(self, block: Block) -> bool:
        """Its place was refused while others were read."""
        return block.ids in self._suspects

    def retry_at(self, block: Block) -> float:
        """Before this time the block is not read."""
        suspect = self._suspects.get(block.ids)
        return suspect.retry_at if suspect else 0.0

    def due(self, now: float) -> bool:
        """Whether the divisions are to be forgotten now; `blocks` are then new."""
        if not self._cuts or self._search or now < self._forget_at:
            return False
        self._cuts.clear()
        self.blocks = self._planned()
        return True

    def answered(self, block: Block, now: float) -> bool:
        """The block was read. True: `blocks` are new."""
        if self._search is not None and self.is_waiting(block):
            self._search.waiting.remove(block)
            self._search.good += 1
            return self._conclude(now)
        self._whole.pop(block.ids, None)
        if self._suspects.pop(block.ids, None) is None:
            return False
        self.blocks = self._planned()
        return True

    def is_waiting(self, block: Block) -> bool:
        """A part that is to be read at once."""
        return self._search is not None and block in self._search.waiting

    def refused(self, block: Block, now: float) -> Refusal:
        """The block was refused with exception 2 or 3."""
        if suspect := self._suspects.get(block.ids):
            suspect.refusals += 1
            if suspect.refusals >= _CONFIRM:
                suspect.retry_at = now + suspect.backoff.next()
            return Refusal.STANDS
        if self._search is None:
            if now < self._whole.get(block.ids, (None, 0.0))[1]:
                return Refusal.STANDS
            self._search = _Search([block], set())
        search = self._search
        search.waiting.remove(block)
        parts = split_block(block)
        if not parts:
            search.refused.append(block)
            return Refusal.CONCLUDED if self._conclude(now) else Refusal.STANDS
        search.waiting += parts
        search.cuts |= {(part.table, part.start) for part in parts}
        self.blocks = tuple(b for b in self.blocks if b != block) + parts
        return Refusal.DIVIDED

    def interrupted(self) -> None:
        """The search cannot go on (no answer, no connection): nothing is learned from it."""
        if self._search is not None:
            self._search = None
            self.blocks = self._planned()

    def _conclude(self, now: float) -> bool:
        search = self._search
        if search is None or search.waiting:
            return False
        self._search = None
        if not search.good:
            self._refused_as_a_whole(search.refused, now)
        elif search.refused:
            for block in search.refused:
                self._suspects[block.ids] = _Suspect(block, self._new_backoff())
        else:
            self._cuts |= search.cuts
            self._forget_at = now + self._forget.next()
        self.blocks = self._planned()
        return True

    def _refused_as_a_whole(self, parts: Iterable[Block], now: float) -> None:
        tags = frozenset[str]().union(*(part.ids for part in parts))
        backoff = self._whole[tags][0] if tags in self._whole else self._new_backoff()
        self._whole[tags] = backoff, now + backoff.next()

    def _planned(self) -> tuple[Block, ...]:
        alone = tuple(suspect.block for suspect in self._suspects.values())
        apart = {tag.id for block in alone for tag in block.tags}
        bad = frozenset(cell for block in alone for cell in cells_of(block))
        rest = [tag for tag in self._tags if tag.id not in apart]
        learned = Learned(bad, frozenset(self._cuts))
        return plan_blocks(rest, self._limits, unit=self._unit, poll_s=self._poll_s, learned=learned) + alone
