"""Writing a tag through the gateway: looked up, allowed, audited before and after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from gateway.audit import Audit, WriteRecord
from plant.clock import Clock, iso
from plant.errors import NotFoundError, TestbedError
from plant.tags import Tag

Write = Callable[[Tag, float], Awaitable[tuple[float | None, float]]]
"""What stood there before and what does now, read back. Raises UserInputError or EquipmentError."""


async def write_audited(tag: Tag, value: float, who: str, write: Write, audit: Audit, clock: Clock) -> float:
    """Writes and gives the value as read back. Every attempt is on record before it is made."""

    def record(result: str, old: float | None = None) -> None:
        audit.append(WriteRecord(iso(clock()), who, tag.id, old, value, result))

    record("begun")
    try:
        old, now = await write(tag, value)
    except TestbedError as error:
        record(str(error))
        raise
    except BaseException:
        record("interrupted: nobody knows whether it was written")
        raise
    record("written", old)
    return now


def find_tag(tag_id: str, tags: Iterable[Tag]) -> Tag:
    """The tag of that id. Raises NotFoundError."""
    for tag in tags:
        if tag.id == tag_id:
            return tag
    raise NotFoundError(f"There is no tag {tag_id}.", next_step="Tag ids are <machine>.<name>, as on the pages.")
