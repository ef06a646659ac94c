"""`kill -9` of the gateway at seeded random moments; `python -m bench.durability` does the same a hundred times."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.durability import kill_at_random
from tests.brokers import MOSQUITTO

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: no broker that keeps a session"),
]


def test_kills_at_random_moments_lose_double_and_disorder_nothing(tmp_path: Path) -> None:
    outcome = kill_at_random(tmp_path, kills=4, seed=3)
    assert outcome.is_clean, outcome
    assert outcome.sent > 100
    assert outcome.acknowledged > 100
    assert outcome.stored >= outcome.acknowledged
