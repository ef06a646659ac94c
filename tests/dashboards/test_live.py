"""The broadcaster: one watch, one calculation per view, only what changed, and a fault stays where it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Hashable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dashboards.web.i18n import language
from dashboards.web.live import Broadcaster, News
from dashboards.web.markup import Markup
from dashboards.web.pages.machine import MachineLive
from dashboards.web.site import Site, View
from dashboards.web.windows import Choice, resolve
from plant.clock import HOUR, SECOND, parse_iso
from plant.historian.duckdb import DuckDbHistorian
from plant.plant import Plant
from plant.points import Point, PointBatch, Quality
from tests.dashboards.factory import config, fill

NOW = parse_iso("2026-05-03T10:30:00Z")


@pytest_asyncio.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    historian = DuckDbHistorian(tmp_path / "h.duckdb", clock=lambda: NOW)
    yield Plant(config(), historian, clock=lambda: NOW)
    historian.close()


class Counter:
    """A view that counts how often it is asked."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.asked = 0

    def news(self, now_ns: int, batch: PointBatch) -> News:
        self.asked += 1
        return News({"n": Markup(self.asked), "same": Markup("x")}, {"points": len(batch)})


class Broken(Counter):
    def news(self, now_ns: int, batch: PointBatch) -> News:
        raise ValueError("broken")


def told(script: str) -> dict[str, Any]:
    return dict(json.loads(script.removeprefix("testbed.hear(").removesuffix(")")))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 — the condition is not ours to signal
            await asyncio.sleep(0.005)


async def test_readers_of_one_view_share_it_and_get_what_changed(plant: Plant) -> None:
    broadcaster, view = Broadcaster(plant, every_s=0.01), Counter("a")
    one: list[str] = []
    two: list[str] = []
    broadcaster.join("1", view, one.append)
    broadcaster.join("2", Counter("a"), two.append)
    await until(lambda: len(one) >= 3 and len(two) >= 3)
    await broadcaster.stop()
    assert told(one[0])["html"] == {"n": "1", "same": "x"}
    assert told(one[1])["html"] == {"n": "2"}
    assert one[:3] == two[:3]
    late: list[str] = []
    broadcaster.join("3", view, late.append)
    await until(lambda: bool(late))
    await broadcaster.stop()
    assert told(late[0])["html"]["same"] == "x"  # a newcomer hears the whole


async def test_an_idle_server_watches_nothing(plant: Plant) -> None:
    broadcaster, view = Broadcaster(plant, every_s=0.01), Counter("a")
    broadcaster.join("1", view, lambda script: None)
    await until(lambda: view.asked > 0)
    broadcaster.leave("1")
    await until(lambda: "pages: live values" not in {task.get_name() for task in asyncio.all_tasks()})
    asked = view.asked
    await asyncio.sleep(0.05)
    assert view.asked == asked


async def test_a_broken_view_leaves_the_others_alone(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    broadcaster = Broadcaster(plant, every_s=0.01)
    heard: list[str] = []
    broadcaster.join("1", Broken("b"), heard.append)
    broadcaster.join("2", good := Counter("g"), lambda script: None)
    await until(lambda: good.asked >= 2)
    await broadcaster.stop()
    assert not heard
    assert "live values of b" in caplog.text


async def test_after_a_reload_every_page_is_asked_for_again(plant: Plant) -> None:
    broadcaster, view = Broadcaster(plant, every_s=0.01), Counter("a")
    heard: list[str] = []
    broadcaster.join("1", view, heard.append)
    await until(lambda: len(heard) >= 2)
    plant.apply(config(shifts=False))
    await until(lambda: heard[-1] == "location.reload()")
    asked, told_once = view.asked, heard.count("location.reload()")
    fresh: list[str] = []
    broadcaster.join("1", again := Counter("a"), fresh.append)
    await until(lambda: again.asked >= 2)
    await broadcaster.stop()
    assert (view.asked, told_once) == (asked, 1), "a view of the old plant is not asked any more"
    assert told(fresh[0])["html"]["same"] == "x"


async def test_a_machine_page_tells_points_state_and_figures(plant: Plant) -> None:
    fill(plant.historian, NOW)
    t = language("en", "Europe/Stockholm")
    shown = resolve(Choice(), NOW, plant.calendar, t.zone)
    assert shown is not None
    live = MachineLive(Site(plant, None), View(t, machine_id="mill-1"), plant.machine("mill-1"), shown)
    batch = PointBatch.of(
        [Point("mill-1.load", NOW - SECOND, 41.5, Quality.GOOD), Point("mill-1.load", NOW, None, Quality.BAD_TIMEOUT),
         Point("press-1.current", NOW, 3.0, Quality.GOOD)]
    )  # fmt: skip
    news = await asyncio.to_thread(live.news, NOW, batch)
    assert news.data["points"] == {"mill-1.load": [[(NOW - SECOND) // 1_000_000, 41.5], [NOW // 1_000_000, None]]}
    assert news.data["ribbon"][0] > (NOW - 12 * HOUR) // 1_000_000
    assert {"state", "oee", "legend", "parts", "value-mill-1.load", "quality-mill-1.state"} <= set(news.html)
    assert news.data["ages"]["mill-1.load"] <= NOW // 1_000_000
    again = live.news(NOW, PointBatch.empty())
    assert again.html == news.html
    assert again.html is not news.html  # the broadcaster compares the two
