"""The leak check of conftest.py fails where it should."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

LEAKS = """
import asyncio, threading

async def test_task():
    asyncio.create_task(asyncio.sleep(60), name="forgotten")

def test_thread():
    threading.Thread(target=threading.Event().wait, args=(3,), name="forgotten").start()

async def test_clean():
    await asyncio.create_task(asyncio.sleep(0))
"""


def test_a_leaked_task_and_a_leaked_thread_fail(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    pytester.makepyfile(LEAKS)
    result = pytester.runpytest_subprocess(
        "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"
    )
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*tasks left behind*forgotten*", "*threads left behind*forgotten*"])
