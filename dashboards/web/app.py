"""Mounts the pages on the API's application."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from nicegui import app as pages_app
from nicegui import ui

from dashboards.web import frame
from dashboards.web.live import Broadcaster
from dashboards.web.shell import Shell
from dashboards.web.site import Site
from plant.connections import Connections
from plant.plant import Plant

_FOREVER_S = 365 * 86_400


def mount(app: FastAPI, plant: Plant, connections: Connections | None = None) -> None:
    """Put the pages on every address that the application does not answer itself. Once per process.

    Add the application's own routes first. Without `connections` the pages show stored data only.
    """
    broadcaster = Broadcaster(plant)
    shell = Shell(Site(plant, connections), broadcaster)
    pages_app.add_static_files(frame.STATIC_URL, frame.STATIC, max_cache_age=_FOREVER_S)
    pages_app.on_shutdown(broadcaster.stop)
    logging.getLogger("nicegui").addFilter(_is_news)
    ui.run_with(
        app,
        root=shell.root,
        title=plant.config.plant.name,
        favicon=frame.STATIC / "favicon.svg",
        dark=None,
        binding_refresh_interval=None,
        reconnect_timeout=5.0,
        message_history_length=100,
        tailwind=False,
        show_welcome_message=False,
    )


def _is_news(record: logging.LogRecord) -> bool:
    """NiceGUI logs every address that does not exist; our 404 page is answer enough."""
    return not record.getMessage().endswith(" not found")
