"""Runs the outputs: each with its own place in the outbox, so that none holds up another or the historian."""

from __future__ import annotations

import asyncio

from gateway.collector import supervise
from gateway.forward import Forwarder
from gateway.outbox import Outbox
from gateway.outputs.mqtt import MqttOutput
from gateway.worker import Worker
from plant.clock import Clock
from plant.config import PlantConfig
from plant.connections import OutboxStatus, OutputStatus

_LIMIT_POINTS = 2_000
"""Few: what is under way when a connection breaks is published twice."""
_NOTHING = OutboxStatus(batches=0, points=0, bytes=0, oldest_ns=None, dropped_points=0, forwarded_points=0)


class Outputs:
    """All outputs of a plant."""

    def __init__(self, config: PlantConfig, clock: Clock, own_id: str) -> None:
        self._made_of = _made_of(config)
        self._outputs = {
            f"output:{name}": MqttOutput(name, section, config, clock, own_id)
            for name, section in config.outputs.items()
        }
        self._forwarders: list[Forwarder] = []
        self._outbox: Outbox | None = None

    @property
    def consumers(self) -> list[str]:
        """Their names in the outbox."""
        return list(self._outputs)

    def start(self, outbox: Outbox, outbox_worker: Worker) -> list[asyncio.Task[None]]:
        """Tasks that connect and publish until cancelled."""
        self._outbox = outbox
        tasks = []
        for consumer, output in self._outputs.items():
            forwarder = Forwarder(outbox, outbox_worker, output.take, consumer, limit_points=_LIMIT_POINTS)
            self._forwarders.append(forwarder)
            tasks += [
                asyncio.create_task(supervise(consumer, output.run, output.crashed), name=consumer),
                asyncio.create_task(supervise(consumer, forwarder.run, output.crashed), name=f"forward to {consumer}"),
            ]
        return tasks

    def differ(self, config: PlantConfig) -> bool:
        """Whether a configuration asks for other outputs than these. Other tags are no difference: see `apply`."""
        return _made_of(config) != self._made_of

    def apply(self, config: PlantConfig) -> None:
        """From now on the tags are published as configured so."""
        for output in self._outputs.values():
            output.apply(config)

    def wake(self) -> None:
        """Something was appended."""
        for forwarder in self._forwarders:
            forwarder.wake()

    def status(self) -> tuple[OutputStatus, ...]:
        return tuple(
            output.status(self._outbox.status(consumer) if self._outbox is not None else _NOTHING)
            for consumer, output in self._outputs.items()
        )


def _made_of(config: PlantConfig) -> object:
    """All that outputs are built from but the tags: a reload cannot change it."""
    return config.outputs, (config.plant.enterprise, config.plant.site) if config.outputs else None
