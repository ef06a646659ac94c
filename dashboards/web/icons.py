"""The icons: 24-unit line drawings, inline, coloured by the text around them. Always beside a word."""

from __future__ import annotations

from dashboards.web.markup import Markup

_FILLED = {
    "running": "M8 5.2v13.6a.9.9 0 0 0 1.4.75l9.8-6.8a.9.9 0 0 0 0-1.5L9.4 4.45A.9.9 0 0 0 8 5.2z",
    "idle": "M7 5h3.2v14H7zM13.8 5H17v14h-3.2z",
    "stopped": "M6 6h12v12H6z",
}

_LINES = {
    "setup": "M14.5 6.2a4.2 4.2 0 0 1 5.3 5.3l-2.6-.6-1.9-1.9-.8-2.8zM15.4 11 8 18.4a1.7 1.7 0 0 1-2.4-2.4L13 8.6",
    "fault": "M12 4 2.8 20h18.4L12 4zM12 10v4.6M12 17.2v.3",
    "off": "M12 3.5V12M7 6.6a7.4 7.4 0 1 0 10 0",
    "unknown": "M8.8 9.2a3.3 3.3 0 1 1 5 2.8c-1.2.7-1.8 1.4-1.8 2.7M12 18.2v.3",
    "overview": "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
    "machine": "M3 20h18M5 20v-9h6v9M11 14h8v6M8 11V7h9v4.5M13 7V4h8",
    "connections": "M9 7.5V3M15 7.5V3M6.5 7.5h11v4a5.5 5.5 0 0 1-11 0zM12 17v4",
    "check": "M4.5 12.5 10 18 19.5 7",
    "warning": "M12 4 2.8 20h18.4L12 4zM12 10v4.6M12 17.2v.3",
    "cross": "M6 6l12 12M18 6 6 18",
    "clock": "M12 3.2a8.8 8.8 0 1 0 0 17.6 8.8 8.8 0 0 0 0-17.6zM12 7v5.2l3.4 2",
    "wait": "M12 3v4M12 17v4M3 12h4M17 12h4M6 6l2.5 2.5M15.5 15.5 18 18M6 18l2.5-2.5M15.5 8.5 18 6",
    "chevron": "M9 5l7 7-7 7",
    "arrow": "M4 12h15M13 6l6 6-6 6",
    "download": "M12 3.5v11.8M7 10.8l5 4.7 5-4.7M4 20h16",
    "image": "M4 5h16v14H4zM4 16l5-5 4.2 4 2.6-2.2L20 16.4M15.5 9.2h.1",
    "settings": "M4 7h9M17 7h3M4 17h3M11 17h9M13 4.5v5h4v-5zM7 14.5v5h4v-5z",
    "info": "M12 3.2a8.8 8.8 0 1 0 0 17.6 8.8 8.8 0 0 0 0-17.6zM12 11v5.6M12 7.6v.3",
    "simulated": "M9.5 3.5h5M10.5 3.5v6L5 18.6a1.3 1.3 0 0 0 1.1 1.9h11.8a1.3 1.3 0 0 0 1.1-1.9L13.5 9.5v-6M7.6 15h8.8",
    "live": "M3 12h4l2.5-6.5 5 13L17 12h4",
    "recorded": "M4 5h16v14H4zM10 9l5 3-5 3z",
    "empty": "M4 13.5 6.6 5h10.8L20 13.5V19H4zM4 13.5h4.6l1.2 2.5h4.4l1.2-2.5H20",
}


def icon(name: str, size: int = 20) -> Markup:
    """An icon that says nothing to a screen reader: the word beside it does."""
    head = f'<svg class="icon" width="{size}" height="{size}" viewBox="0 0 24 24" aria-hidden="true" focusable="false"'
    if name in _FILLED:
        return Markup(f'{head} fill="currentColor"><path d="{_FILLED[name]}"/></svg>')
    return Markup(
        f'{head} fill="none" stroke="currentColor" stroke-width="1.9" stroke-linecap="round" '
        f'stroke-linejoin="round"><path d="{_LINES[name]}"/></svg>'
    )
