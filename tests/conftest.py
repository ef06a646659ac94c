"""For every test: what it starts it also ends."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hypothesis import settings

# How long an example takes says more of the machine than of the code; speed belongs to `make bench`.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

_GRACE_S = 1.0  # what was cancelled or closed in the last moment may take a few turns to end


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a thread behind which would keep the process alive, or a pending task."""
    before = set(threading.enumerate())
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("no_leaked_tasks")
    yield
    deadline = time.monotonic() + _GRACE_S
    while (left := _lasting_threads() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, f"threads left behind: {sorted(thread.name for thread in left)}"


@pytest_asyncio.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Requested by `no_leaks` for asynchronous tests only."""
    before = asyncio.all_tasks()
    yield
    for _ in range(int(_GRACE_S / 0.01)):
        left = asyncio.all_tasks() - before - _this_task()
        if not left:
            break
        await asyncio.sleep(0.01)
    assert not left, f"tasks left behind: {sorted(repr(task) for task in left)}"


def _this_task() -> set[asyncio.Task[object]]:
    task = asyncio.current_task()
    return set() if task is None else {task}


def _lasting_threads() -> set[threading.Thread]:
    """Without the loop's own pool, which ends with the loop, after this check."""
    return {t for t in threading.enumerate() if not t.daemon and not t.name.startswith("asyncio_")}
