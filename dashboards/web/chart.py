"""A chart on a page: `ui.echart` with a component of ours in the browser."""

from __future__ import annotations

from typing import Any

from nicegui import ui


class Chart(ui.echart, component="static/chart.js"):
    """An ECharts chart that joins the others of its page: one cursor, live points, exports.

    NiceGUI's own component fails with a script error when a reader clicks on before the chart is drawn.
    `about` is what the page's script needs to go on by itself: see `testbed.draw` in static/testbed.js.
    """

    def __init__(self, options: dict[str, Any], about: dict[str, Any], *, label: str) -> None:
        super().__init__(options)
        self._props["about"] = about
        self.props["role"] = "img"
        self.props["aria-label"] = label
