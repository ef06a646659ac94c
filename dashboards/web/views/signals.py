"""Values of signals as readers know them, wherever they stand: cards, tables, heads of charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dashboards.web.i18n import DASH, Language
from dashboards.web.icons import icon
from dashboards.web.markup import Markup, h, join
from dashboards.web.parts import age, figure, live
from dashboards.web.words import quality_tone, quality_word
from plant.plant import Plant
from plant.points import Level, Point, Quality
from plant.tags import Tag


def signal_cells(
    tag_id: str, tag: Tag | None, point: Point | None, limit_s: float | None, t: Language, now_ns: int
) -> Markup:
    """Value, quality and age. Each is told anew by itself, and only when it changes: see signal_news."""
    seen = point.time_ns if point else None
    return join(
        [
            live(f"value-{tag_id}", value(tag, point, t), "td", class_="num"),
            live(f"quality-{tag_id}", quality(point, t), "td"),
            h("td", age(seen, now_ns, t, limit_s, key=tag_id), class_="num"),
        ]
    )


def signal_news(tags: Mapping[str, Tag], last: Mapping[str, Point], t: Language) -> dict[str, Markup]:
    """The values and qualities of signals, by live key."""
    found: dict[str, Markup] = {}
    for tag_id, tag in tags.items():
        point = last.get(tag_id)
        found[f"value-{tag_id}"] = value(tag, point, t)
        found[f"quality-{tag_id}"] = quality(point, t)
    return found


def ages(last: Mapping[str, Point]) -> dict[str, int]:
    """The time of each newest value, ms."""
    return {tag_id: point.time_ns // 1_000_000 for tag_id, point in last.items()}


def newest(plant: Plant, tags: Iterable[str]) -> dict[str, Point]:
    """The newest point of each tag. Where a recording ended, which is no fault, its last usable value and time."""
    last = plant.last(tags)
    ended = [tag for tag, point in last.items() if point.quality == Quality.BAD_END_OF_RECORDING]
    if not ended:
        return last
    usable = plant.historian.last_good(ended)
    return last | {tag: replace(point, quality=Quality.BAD_END_OF_RECORDING) for tag, point in usable.items()}


def value(tag: Tag | None, point: Point | None, t: Language) -> Markup:
    """A value as the reader knows it: the enumeration's text, the number with its unit, or a dash."""
    if tag is None or point is None or point.value is None:
        return figure(DASH)
    text = tag.text_of(point.value)
    if text is not None:
        return h("span", text)
    assert not isinstance(point.value, str)
    whole = tag.type.value.startswith(("int", "uint", "bcd", "bool")) and tag.scale == int(tag.scale)
    return figure(t.number(point.value, 0 if whole else tag.decimals), tag.unit)


def quality(point: Point | None, t: Language) -> Markup:
    if point is None:
        return h("span", t("Nothing yet"), class_="muted")
    tone = quality_tone(point.quality)
    if point.quality == Quality.GOOD:
        return h("span", quality_word(point.quality, t), class_="muted")
    if point.quality == Quality.BAD_END_OF_RECORDING:
        return h("span", icon("info", 14), quality_word(point.quality, t), class_="result muted")
    sign = "warning" if point.quality.level is Level.UNCERTAIN else "cross"
    return h("span", icon(sign, 14), quality_word(point.quality, t), class_=f"result {tone}")
