"""Machine states as intervals that tile a window exactly."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What a machine does, for machines without PackML."""

    RUNNING = "running"
    IDLE = "idle"
    STOPPED = "stopped"
    SETUP = "setup"
    FAULT = "fault"
    OFF = "off"
    UNKNOWN = "unknown"  # no data: neither uptime nor downtime
