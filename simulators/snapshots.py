"""Where the machines stood, as one JSON file: a later start goes on with the same counters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from plant.clock import MINUTE
from plant.errors import ResourceError
from simulators.machines.base import Machine, Snapshot

_LIVED_THROUGH = 15 * MINUTE
_NAME = "machines.json"
LEDGER_NAME = "truth.jsonl"


def save(state_dir: Path, snapshots: Mapping[str, Snapshot]) -> None:
    """Replace the file in one go: a crash leaves the old one or the new one."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        fresh = state_dir / f"{_NAME}.new"
        fresh.write_text(json.dumps(snapshots), encoding="utf-8")
        fresh.replace(state_dir / _NAME)
    except OSError as error:
        raise ResourceError(f"The machines' state cannot be saved in {state_dir}: {error.strerror}.") from None


def load(state_dir: Path) -> dict[str, Snapshot]:
    """Snapshots by machine id; none where nothing was saved."""
    path = state_dir / _NAME
    if not path.exists():
        return {}
    try:
        found: dict[str, Snapshot] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResourceError(
            f"The machines' state in {path} cannot be read: {error}.", next_step="Delete it to start with new machines."
        ) from None
    return found


def clear(state_dir: Path) -> None:
    """Forget every machine and the ledger: a new history begins."""
    try:
        for name in (_NAME, LEDGER_NAME):
            (state_dir / name).unlink(missing_ok=True)
    except OSError as error:
        raise ResourceError(f"The machines' state in {state_dir} cannot be deleted: {error.strerror}.") from None


def catch_up(machine: Machine, now_ns: int) -> None:
    """Bring a restored machine to the present: it lives through a short absence, and skips the rest of a long one.

    A life is the same when it is lived twice, so after a crash the counters are never lower than they were seen.
    """
    machine.advance(min(now_ns, machine.now_ns + _LIVED_THROUGH))
    machine.pause_until(now_ns)
