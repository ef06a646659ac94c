"""What every page gets: the plant it asks, and the view: who reads, in which language, which machine and window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlencode

from dashboards.web.i18n import Language, choose, language
from dashboards.web.windows import Choice
from plant.connections import Connections
from plant.plant import Plant

LANGUAGE_COOKIE = "testbed_language"
THEME_COOKIE = "testbed_theme"
THEMES = ("auto", "light", "dark")


class Headers(Protocol):
    """What a page needs of an HTTP request."""

    @property
    def cookies(self) -> dict[str, str]: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def query_params(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Site:
    """One plant on screen. `connections` is None where no gateway runs in this process."""

    plant: Plant
    connections: Connections | None


@dataclass(frozen=True, slots=True)
class View:
    """What one reader looks at. Immutable: a click makes another one."""

    t: Language
    theme: str = "auto"
    wall: bool = False
    page: str = "overview"
    machine_id: str | None = None
    choice: Choice = field(default_factory=Choice)

    def to(self, path: str, choice: Choice | None = None) -> str:
        """The address of a page that keeps the wall and, where given, the window."""
        query = {**(choice.query() if choice else {}), **({"wall": "1"} if self.wall else {})}
        return f"{path}?{urlencode(query)}" if query else path

    def to_machine(self, machine_id: str, choice: Choice | None = None) -> str:
        return self.to(f"/machine/{quote(machine_id)}", choice)


def reader(request: Headers, timezone: str) -> tuple[Language, str]:
    """The reader's language and theme: as chosen before, else as the browser asks."""
    code = choose(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))
    theme = request.cookies.get(THEME_COOKIE, "auto")
    return language(code, timezone), theme if theme in THEMES else "auto"
