"""Reload of the running system: over HTTP and by SIGHUP, good files and bad ones."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.devices import running_device
from tests.processes import Running, running

pytestmark = pytest.mark.system

PLANT = """
plant: {{enterprise: acme, site: ume, name: Acme}}
sources:
  plc: {{type: modbus-tcp, host: 127.0.0.1, port: {port}, poll_s: 0.3}}
  other: {{type: modbus-tcp, host: 127.0.0.1, port: {port}, poll_s: 0.1}}
machines:
  m: {{name: M, area: a, line: l, source: plc, tags: {{x: {{address: 40004, type: uint16}}}}}}
  n: {{name: N, area: a, line: l, tag_list: n.csv}}
"""
LIST = "name;source;type;address;label_en\ny;other;uint16;40011;{label}\n"


def reload(system: Running) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{system.url}/api/reload", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def label(system: Running) -> str:
    tags = {tag["id"]: tag for tag in system.get("/api/tags")["tags"]}
    return str(tags["n.y"]["label"]["en"])


async def test_reload_of_a_running_system(tmp_path: Path) -> None:
    async with running_device() as device:
        (tmp_path / "plant.yaml").write_text(PLANT.format(port=device.port))
        (tmp_path / "n.csv").write_text(LIST.format(label="Before"))
        await asyncio.to_thread(_reload_it, tmp_path)


def _reload_it(folder: Path) -> None:
    with running("run", folder / "plant.yaml", "--data-dir", folder / "data") as system:
        system.wait_for(
            lambda: all(s["link"] == "connected" for s in system.get("/api/sources")["sources"]), what="plc"
        )
        assert label(system) == "Before"
        plc = system.get("/api/sources")["sources"][0]
        overruns, since = plc["overruns"], plc["since"]

        (folder / "n.csv").write_text(LIST.format(label="Bad") + "z;othre;uint61;40012;\n")
        status, problem = reload(system)
        assert status == 422
        assert problem["type"].endswith(":invalid-plant")
        assert [(Path(m["file"]).name, m["line"], m["field"]) for m in problem["mistakes"]] == [
            ("n.csv", 3, "row 3, column B (source)"),
            ("n.csv", 3, "row 3, column C (type)"),
        ]
        assert problem["mistakes"][0]["right"] == "Did you mean other?"
        assert label(system) == "Before"
        system.process.send_signal(signal.SIGHUP)
        system.wait_for(lambda: "Not reloaded" in "".join(system.output), what="the mistakes")
        assert f"{folder / 'n.csv'}:3" in "".join(system.output)
        assert label(system) == "Before"

        (folder / "n.csv").write_text(LIST.format(label="After") + "z;other;uint16;40012;\n")
        status, result = reload(system)
        assert status == 200
        assert result["sources"] == {"added": [], "changed": ["other"], "removed": [], "kept": ["plc"]}
        assert result["tags"] == {"added": ["n.z"], "changed": ["n.y"], "removed": [], "kept": ["m.x"]}
        assert result["machines"]["changed"] == ["n"]
        assert label(system) == "After"
        system.wait_for(lambda: _last(system, "n.z") is not None, what="a value of the new tag")

        (folder / "n.csv").write_text(LIST.format(label="By signal"))
        system.process.send_signal(signal.SIGHUP)
        system.wait_for(lambda: label(system) == "By signal", what="the reload")
        assert [tag["id"] for tag in system.get("/api/tags")["tags"]] == ["m.x", "n.y"]
        sources = {source["name"]: source for source in system.get("/api/sources")["sources"]}
        assert sources["plc"]["overruns"] == overruns
        assert sources["plc"]["since"] == since, "the kept source was never interrupted"
        time.sleep(0.1)
        for line in (
            "reload (POST /api/reload) refused",
            "reload (POST /api/reload) applied",
            "reload (SIGHUP) applied",
        ):
            assert line in "".join(system.output)
        system.stop(signal.SIGTERM)


def _last(system: Running, tag_id: str) -> Any:
    return next(tag["last"] for tag in system.get("/api/tags")["tags"] if tag["id"] == tag_id)
