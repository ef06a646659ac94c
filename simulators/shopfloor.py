"""The live shop floor: machines, their servers and publishers, the broker and the truth ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from plant.clock import MINUTE, SECOND, Clock, system_clock
from plant.config import ModbusTcpSource, MqttSource, PlantConfig
from plant.tags import Tag
from simulators import snapshots
from simulators.broker import BrokerChoice, start_broker
from simulators.feed import Feed
from simulators.floor import FloorMachine, build_machine
from simulators.machines.base import Machine, Snapshot
from simulators.modbus_server import ModbusServer
from simulators.mqtt_publisher import MqttPublisher
from simulators.truth import TruthLedger

_log = logging.getLogger(__name__)
_SAVE_EVERY = 10 * SECOND
_LONGEST_STRIDE = MINUTE  # a larger jump of the clock (a sleeping computer) is not published minute by minute


class ShopFloor:
    """Steps every machine in real time and serves its signals, polled ones `tick_s` old at most.

    `broker` names what carries MQTT, once started.
    """

    def __init__(
        self,
        config: PlantConfig,
        machines: Mapping[str, FloorMachine],
        seed: int,
        state_dir: Path | None = None,
        clock: Clock = system_clock,
        broker: BrokerChoice = BrokerChoice.AUTO,
        tick_s: float = 0.2,
    ) -> None:
        self._config, self._entries, self._seed = config, machines, seed
        self._state_dir, self._clock, self._broker_choice = state_dir, clock, broker
        self._tick_s = tick_s
        self.ledger = TruthLedger()
        self.machines: dict[str, Machine] = {}
        self.broker: str | None = None
        self.endpoints: list[str] = []
        self._feeds: dict[str, Feed] = {}
        self._servers: list[ModbusServer] = []
        self._publishers: dict[str, list[MqttPublisher]] = {}
        self._saved_ns = 0
        self._running = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Machines at the present moment, every server listening. On failure nothing stays behind."""
        async with AsyncExitStack() as stack:
            if self._state_dir is not None:
                self.ledger = TruthLedger.open(self._state_dir / snapshots.LEDGER_NAME)
                stack.callback(self.ledger.close)
            self._build_machines()
            await self._start_modbus(stack)
            await self._start_mqtt(stack)
            await self.tick()
            self._save()
            self._running = stack.pop_all()
        self._task = asyncio.create_task(self._run(), name="shop floor")

    async def stop(self) -> None:
        """Save and close everything; safe to call twice."""
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
                self._task = None
                self._save()
        finally:
            await self._running.aclose()

    async def wait(self) -> None:
        """Until the floor ends; it does by itself only on an error, which is raised."""
        if self._task is not None:
            await self._task

    async def tick(self) -> None:
        """Bring every machine to the present and its signals to whoever listens."""
        now = self._clock()
        for machine_id, feed in self._feeds.items():
            if now - feed.machine.now_ns > _LONGEST_STRIDE:
                snapshots.catch_up(feed.machine, now)
            for emission in feed.run_to(now):
                for publisher in self._publishers.get(machine_id, ()):
                    publisher.publish(emission)
        for server in self._servers:
            for machine_id, machine in self.machines.items():
                if server.serves(machine_id):
                    await server.update(machine_id, machine.measure())
        self.ledger.flush()
        if now - self._saved_ns >= _SAVE_EVERY:
            self._save()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._tick_s, loop.time())
            await asyncio.sleep(due - loop.time())
            await self.tick()

    def _build_machines(self) -> None:
        now = self._clock()
        saved = snapshots.load(self._state_dir) if self._state_dir is not None else {}
        for machine_id, entry in self._entries.items():
            self.machines[machine_id] = machine = self._resume(machine_id, entry, saved.get(machine_id), now)
            self._feeds[machine_id] = Feed(machine)

    def _resume(self, machine_id: str, entry: FloorMachine, snapshot: Snapshot | None, now: int) -> Machine:
        if snapshot is None:
            return build_machine(self._config, machine_id, entry, self._seed, now, self.ledger.record)
        # Building a machine tells the ledger of a beginning; a restored one has begun long ago.
        machine = build_machine(self._config, machine_id, entry, self._seed, now, lambda _entry: None)
        try:
            machine.restore(snapshot)
        except ValueError as error:
            _log.warning("%s starts anew: %s", machine_id, error)
            return build_machine(self._config, machine_id, entry, self._seed, now, self.ledger.record)
        machine.record = self.ledger.record
        self.ledger.forget_after(machine_id, machine.now_ns)
        snapshots.catch_up(machine, now)
        return machine

    async def _start_modbus(self, stack: AsyncExitStack) -> None:
        ports: dict[tuple[str, int], dict[int, list[Tag]]] = {}
        for name, source in self._config.sources.items():
            if isinstance(source, ModbusTcpSource) and (tags := self._tags_of(name)):
                ports.setdefault((source.host, source.port), {}).setdefault(source.unit, []).extend(tags)
        for (host, port), units in ports.items():
            server = ModbusServer(host, port, units)
            stack.push_async_callback(server.stop)
            await server.start()
            self._servers.append(server)
            self.endpoints.append(f"Modbus TCP {host}:{port}")

    async def _start_mqtt(self, stack: AsyncExitStack) -> None:
        brokers: set[tuple[str, int]] = set()
        for name, source in self._config.sources.items():
            if not isinstance(source, MqttSource) or not (tags := self._tags_of(name)):
                continue
            if (source.host, source.port) not in brokers:
                brokers.add((source.host, source.port))
                broker = await start_broker(self._broker_choice, source.host, source.port)
                self.broker = broker.name if broker is not None else "its own broker"
                if broker is not None:
                    stack.push_async_callback(broker.stop)
                self.endpoints.append(f"MQTT {source.host}:{source.port} ({self.broker})")
            for machine_id in dict.fromkeys(tag.machine for tag in tags):
                own = [tag for tag in tags if tag.machine == machine_id]
                publisher = MqttPublisher(machine_id, source, self.machines[machine_id].groups, own)
                await publisher.start()
                stack.push_async_callback(publisher.stop)
                self._publishers.setdefault(machine_id, []).append(publisher)

    def _tags_of(self, source: str) -> list[Tag]:
        return [tag for tag in self._config.tags() if tag.source == source and tag.machine in self._entries]

    def _save(self) -> None:
        self.ledger.flush()
        self._saved_ns = self._clock()
        if self._state_dir is not None:
            snapshots.save(self._state_dir, {name: machine.snapshot() for name, machine in self.machines.items()})
