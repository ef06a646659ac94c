"""Every text is translated, and numbers and times have the reader's form."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import dashboards.web
from dashboards.web.i18n import KEYWORDS, Language, catalogue, choose, language
from plant.clock import DAY, HOUR, MINUTE, SECOND, parse_iso

FOLDER = Path(dashboards.web.__file__).parent
Texts = str | tuple[str, ...]


def sv() -> Language:
    return language("sv", "Europe/Stockholm")


def en() -> Language:
    return language("en", "Europe/Stockholm")


def _written() -> set[Texts]:
    found = extract_from_dir(str(FOLDER), method_map=[("**.py", "python")], keywords=KEYWORDS)
    return {text for _, _, text, _, _ in found}


def _catalogue(code: str) -> Catalog:
    with (FOLDER / "locale" / code / "LC_MESSAGES" / "web.po").open("rb") as file:
        return read_po(file, locale=code)


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _all(texts: Texts) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else texts


def test_every_text_has_its_swedish() -> None:
    written, known = _written(), _catalogue("sv")
    assert len(written) > 150
    missing = [text for text in written if (m := known.get(_all(text)[0])) is None or not all(_all(m.string))]
    assert not missing
    assert not [message.id for message in known if message.id and message.fuzzy]


@pytest.mark.parametrize("code", ["sv", "en"])
def test_catalogues_hold_what_the_code_says_and_nothing_else(code: str) -> None:
    assert {message.id for message in _catalogue(code) if message.id} == _written()


def test_placeholders_survive_translation() -> None:
    wrong = [
        message.id
        for message in _catalogue("sv")
        if message.id and any(_names(text) != _names(_all(message.id)[-1]) for text in _all(message.string))
    ]
    assert not wrong


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, bool]]:
    """Calls of the translating names, and whether they stand in an f-string or in another such call."""
    hidden = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.JoinedStr) or (isinstance(outer, ast.Call) and _name(outer) in KEYWORDS)
        for inner in ast.walk(outer)
        if inner is not outer
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) in KEYWORDS:
            yield node, node in hidden


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def test_no_text_hides_from_extraction() -> None:
    """Babel reads tokens: it does not see texts inside f-strings, which Python 3.11 takes as one token."""
    written = {text for texts in _written() for text in _all(texts)}
    lost = []
    for path in FOLDER.rglob("*.py"):
        for call, _ in _calls(ast.parse(path.read_text())):
            argument = call.args[0] if call.args else None
            if isinstance(argument, ast.Constant) and argument.value not in written:
                lost.append(f"{path.name}:{call.lineno}")
    assert not lost


def test_the_swedish_words_are_those_of_the_list() -> None:
    words = {
        "OEE": "TAK/OEE",
        "Availability": "Tillgänglighet",
        "Performance": "Anläggningsutnyttjande",
        "Quality": "Kvalitetsutbyte",
        "Planned production time": "Planerad produktionstid",
        "Run time": "Drifttid",
        "Downtime": "Stopptid",
        "Scrap": "Kassation",
        "Time since the part before": "Tid sedan förra detaljen",
    }
    assert {text: sv()(text) for text in words} == words


def test_languages_do_not_share_state() -> None:
    assert (sv()("Overview"), en()("Overview"), sv()("Overview")) == ("Översikt", "Overview", "Översikt")
    assert catalogue("sv") is catalogue("sv")


@pytest.mark.parametrize(
    ("cookie", "header", "code"),
    [("sv", "en", "sv"), (None, "sv-SE,sv;q=0.9,en;q=0.8", "sv"), (None, "de, en-US;q=0.7, sv;q=0.2", "en"),
     (None, "", "en"), ("klingon", "sv", "sv"), (None, "sv;q=oops, en", "en")],
)  # fmt: skip
def test_choosing_a_language(cookie: str | None, header: str, code: str) -> None:
    assert choose(cookie, header) == code


def test_numbers() -> None:
    assert sv().percent(0.8143) == "81,4"
    assert re.sub(r"\s", " ", sv().integer(1284)) == "1 284"
    assert en().integer(1284) == "1,284"
    assert sv().number(-0.04, 1) in ("−0,0", "-0,0", "0,0")
    assert (sv().number(None), sv().number(float("nan")), sv().percent(None)) == ("–", "–", "–")
    assert sv().percent(1.034) == "103,4"
    assert sv().bytes(3_420_000) == "3,4 MB"
    assert sv().bytes(512) == "512 B"


def test_plurals() -> None:
    assert [sv().plural("{n} tag", "{n} tags", n) for n in (0, 1, 2)] == ["0 taggar", "1 tagg", "2 taggar"]
    assert [en().plural("{n} tag", "{n} tags", n) for n in (0, 1, 2)] == ["0 tags", "1 tag", "2 tags"]


@pytest.mark.parametrize(
    ("length_ns", "text"),
    [(0, "0 s"), (59.4 * SECOND, "59 s"), (60 * SECOND, "1 min"), (59.6 * MINUTE, "1 h"), (72 * MINUTE, "1 h 12 min"),
     (47 * HOUR, "47 h"), (49 * HOUR, "2 d 1 h"), (7 * DAY, "7 d"), (None, "–")],
)  # fmt: skip
def test_durations(length_ns: float | None, text: str) -> None:
    assert sv().duration(length_ns) == text


@pytest.mark.parametrize(
    ("length_ns", "text"),
    [(45 * SECOND, "45 s"), (59 * MINUTE, "59 min"), (60 * MINUTE, "1 h 0 min"), (32.5 * HOUR, "32 h 30 min"),
     (158 * HOUR, "158 h 0 min")],
)  # fmt: skip
def test_hours_are_to_the_minute_however_many(length_ns: float, text: str) -> None:
    assert sv().hours(length_ns) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0, "0"), (0.0004, "< 1"), (0.01, "1"), (0.5, "50"), (0.99, "99"), (0.9996, "> 99"), (1, "100")],
)
def test_a_share_is_all_or_nothing_only_when_it_is(fraction: float, text: str) -> None:
    assert sv().share(fraction) == text.replace(" ", "\u00a0")


def test_ages() -> None:
    assert [sv().ago(time, 100 * SECOND) for time in (99 * SECOND, 88 * SECOND, None)] == ["nu", "för 12 s sedan", "–"]


def test_times_are_in_the_plants_zone() -> None:
    now = parse_iso("2026-05-03T12:05:00Z")
    assert sv().moment(now, now) == "14:05"
    assert sv().moment(now - DAY, now) == "2 maj 14:05"
    assert sv().moment(parse_iso("2018-05-09T13:20:39Z"), now, seconds=True) == "9 maj 2018 15:20:39"
    assert language("en", "America/New_York").moment(now, now) == "08:05"


def test_spans() -> None:
    now = parse_iso("2026-05-03T12:00:00Z")
    start = parse_iso("2026-05-03T04:00:00Z")
    assert sv().span(start, start + 8 * HOUR, now) == "3 maj 06:00–14:00"
    assert sv().span(start, start + 20 * HOUR, now) == "3 maj 06:00 – 4 maj 02:00"
    midnight = parse_iso("2026-05-02T22:00:00Z")
    assert sv().span(midnight, midnight + DAY, now) == "3 maj"
    changing = parse_iso("2026-10-24T22:00:00Z")  # a day of 25 hours
    assert sv().span(changing, changing + 25 * HOUR, now) == "25 okt."
