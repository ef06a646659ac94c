from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.brokers import MOSQUITTO, Amqtt, Mosquitto, running_broker

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


@pytest_asyncio.fixture(params=[pytest.param("mosquitto", marks=needs_mosquitto), "amqtt"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mosquitto | Amqtt]:
    """Each broker that we support, running."""
    async with running_broker(request.param, tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def amqtt(tmp_path: Path) -> AsyncIterator[Amqtt]:
    """A broker that knows MQTT 3.1.1 only."""
    async with running_broker("amqtt", tmp_path) as running:
        assert isinstance(running, Amqtt)
        yield running


@pytest_asyncio.fixture(params=[pytest.param("mosquitto", marks=needs_mosquitto)])
async def mosquitto(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """For what only a real broker does: sessions that outlive it, passwords."""
    async with running_broker("mosquitto", tmp_path) as running:
        assert isinstance(running, Mosquitto)
        yield running
