"""Mistakes of a configuration in the terminal: one line each, with its place, its field and what would be right."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from plant.errors import ConfigError


def print_mistakes(error: ConfigError, console: Console) -> None:
    for mistake in error.mistakes:
        place = f"{mistake.file}:{mistake.line}" if mistake.line else str(mistake.file)
        advice = escape(f"{mistake.wrong} {mistake.right}")
        console.print(f"[bold]{escape(place)}[/]  [red]{escape(mistake.field)}[/]: {advice}", soft_wrap=True)
