"""What a page is. A later page adds itself to the table in `dashboards/web/pages/table.py` and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dashboards.web.live import LiveView
from dashboards.web.site import Site, View


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a page found: how to put it on screen (in NiceGUI's context), and what keeps it alive."""

    show: Callable[[], object]
    live: LiveView | None = None
    title: str = ""
    found: bool = True  # False: the address names something that does not exist


Load = Callable[[Site, View], Loaded]
"""Runs in a worker thread: it may ask the plant, and must not touch NiceGUI."""


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of the site. `label` is marked with msg() and translated where it is shown."""

    id: str
    path: str  # with {machine_id} where it is about one
    label: str
    icon: str
    load: Load
    uses_machine: bool = False
    uses_window: bool = False
