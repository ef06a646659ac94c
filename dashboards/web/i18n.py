"""The reader's language: texts by gettext, numbers, dates and durations by Babel, times in the plant's zone.

A `Language` is made per request and passed on explicitly, as `t`: `t("Running {n} of {m}", n=3, m=5)`.
Catalogues are read from their .po files at start; nothing is compiled.
"""

from __future__ import annotations

import gettext
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from plant.clock import HOUR, MINUTE, SECOND, from_ns

LANGUAGES = {"sv": "Svenska", "en": "English"}
KEYWORDS = {"t": None, "plural": (1, 2), "msg": None}
"""How Babel finds the texts in the code; `tests/dashboards/test_i18n.py` extracts them."""

DASH = "–"
"""Stands for a figure that cannot be told. Never a zero."""

_LOCALES = {"sv": "sv_SE", "en": "en_GB"}
_CATALOGUES = Path(__file__).parent / "locale"


def msg(text: str) -> str:
    """Marks a text in a table for translation; `t(text)` translates it where it is shown."""
    return text


@dataclass(frozen=True)
class Language:
    """Texts, numbers and times for one reader."""

    code: str
    locale: Locale
    zone: ZoneInfo
    texts: gettext.NullTranslations

    def __call__(self, text: str, **values: object) -> str:
        """The text in this language with its {placeholders} filled in."""
        return self.texts.gettext(text).format(**values)

    def plural(self, one: str, many: str, n: int, **values: object) -> str:
        """The text that goes with a number; {n} is the number in the reader's form."""
        return self.texts.ngettext(one, many, n).format(n=self.integer(n), **values)

    # Numbers

    def number(self, value: float | None, decimals: int = 1) -> str:
        """A number with exactly so many decimals; a dash where there is none."""
        if value is None or not math.isfinite(value):
            return DASH
        pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
        return format_decimal(value + 0.0 if value else 0.0, format=pattern, locale=self.locale)

    def integer(self, value: int | None) -> str:
        return self.number(value, 0)

    def percent(self, fraction: float | None, decimals: int = 1) -> str:
        """81,4 – without its unit, which stands smaller beside it."""
        return self.number(None if fraction is None else 100 * fraction, decimals)

    def share(self, fraction: float) -> str:
        """A part of a whole, without decimals; 0 and 100 stand for nothing and all of it, and for nothing else."""
        if 0 < fraction < 0.01:
            return "<\u00a01"
        if 0.99 < fraction < 1:
            return ">\u00a099"
        return self.percent(fraction, 0)

    # Times

    def local(self, time_ns: int) -> datetime:
        return from_ns(time_ns).astimezone(self.zone)

    def clock(self, time_ns: int, *, seconds: bool = False) -> str:
        """14:05 or 14:05:09."""
        return format_time(self.local(time_ns), "HH:mm:ss" if seconds else "HH:mm", locale=self.locale)

    def day(self, time_ns: int, *, year: bool = False) -> str:
        """3 maj, or 3 maj 2026."""
        moment = self.local(time_ns)
        if year:
            return format_date(moment, "d MMM y", locale=self.locale)
        return format_skeleton("MMMd", moment, tzinfo=self.zone, locale=self.locale)

    def moment(self, time_ns: int, now_ns: int, *, seconds: bool = False) -> str:
        """The clock alone today; with the day before that; with the year in another year."""
        then, today = self.local(time_ns), self.local(now_ns)
        clock = self.clock(time_ns, seconds=seconds)
        if then.date() == today.date():
            return clock
        return f"{self.day(time_ns, year=then.year != today.year)} {clock}"

    def span(self, start_ns: int, end_ns: int, now_ns: int) -> str:
        """3 maj 06:00–14:00, with both days where they differ; the day alone where it is a whole one."""
        start, end = self.local(start_ns), self.local(end_ns)
        year = start.year != self.local(now_ns).year
        if start.time() == end.time() == time() and end.date() - start.date() == timedelta(days=1):
            return self.day(start_ns, year=year)
        first = f"{self.day(start_ns, year=year)} {self.clock(start_ns)}"
        if start.date() == end.date():
            return f"{first}–{self.clock(end_ns)}"
        return f"{first} – {self.day(end_ns, year=year)} {self.clock(end_ns)}"

    def duration(self, length_ns: float | None) -> str:
        """The two largest units that matter: 45 s, 7 min, 1 h 12 min, 3 d 4 h."""
        if length_ns is None:
            return DASH
        seconds = round(length_ns / SECOND)
        if seconds < 60:
            return self("{n} s", n=seconds)
        minutes = round(length_ns / MINUTE)
        if minutes < 60:
            return self("{n} min", n=minutes)
        if minutes < 48 * 60:
            hours, rest = divmod(minutes, 60)
            return self("{h} h {m} min", h=hours, m=rest) if rest else self("{h} h", h=hours)
        days, hours = divmod(round(length_ns / HOUR), 24)
        return self("{d} d {h} h", d=self.integer(days), h=hours) if hours else self("{d} d", d=self.integer(days))

    def hours(self, length_ns: float) -> str:
        """To the minute however long, so that a reader can calculate with it: 7 min, 32 h 30 min, 158 h 0 min."""
        hours, rest = divmod(round(length_ns / MINUTE), 60)
        return self("{h} h {m} min", h=self.integer(hours), m=rest) if hours else self.duration(length_ns)

    def ago(self, time_ns: int | None, now_ns: int) -> str:
        """How long ago: now, 12 s ago, 3 min ago."""
        if time_ns is None:
            return DASH
        if now_ns - time_ns < 2 * SECOND:
            return self("now")
        return self("{age} ago", age=self.duration(now_ns - time_ns))

    def bytes(self, n: int) -> str:
        """Sizes of files: 512 B, 3,4 MB."""
        size, unit = float(n), 0
        while size >= 1000 and unit < 4:
            size, unit = size / 1000, unit + 1
        return f"{self.number(size, 1 if unit else 0)} {('B', 'kB', 'MB', 'GB', 'TB')[unit]}"


@cache
def catalogue(code: str) -> gettext.NullTranslations:
    """The texts of one language, read from its .po file. English is what the code says."""
    path = _CATALOGUES / code / "LC_MESSAGES" / "web.po"
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def language(code: str, timezone: str) -> Language:
    """The language of that code (see LANGUAGES) with times in that zone."""
    return Language(code, Locale.parse(_LOCALES[code]), ZoneInfo(timezone), catalogue(code))


def choose(cookie: str | None, accept_language: str) -> str:
    """The code of the language to speak: what was chosen before, else what the browser prefers, else English.

    >>> choose(None, "de;q=0.9, sv-SE;q=0.8, en;q=0.1"), choose("en", "sv"), choose("xx", "")
    ('sv', 'en', 'en')
    """
    if cookie in LANGUAGES:
        return cookie
    return next((code for code in _preferences(accept_language) if code in LANGUAGES), "en")


def _preferences(accept_language: str) -> Iterable[str]:
    weighted = []
    for part in accept_language.split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        weighted.append((-weight, name.split("-")[0].lower()))
    return [name for _, name in sorted(weighted, key=lambda pair: pair[0])]
