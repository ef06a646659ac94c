"""The gateway as one object: sources → outbox → historian, and what it says of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from gateway.audit import Audit
from gateway.collector import Committer, SupervisedSource, supervise
from gateway.forward import Forwarder
from gateway.outbox import Outbox
from gateway.outputs.runner import Outputs
from gateway.sources.base import Source
from gateway.sources.modbus import Buses, ModbusSource
from gateway.sources.mqtt import MqttKeep, MqttSource
from gateway.sources.sparkplug import SparkplugSource
from gateway.worker import Worker
from gateway.writes import find_tag, write_audited
from plant.clock import Clock, system_clock
from plant.config import AliveConfig, PlantConfig, ReplaySource
from plant.config import ModbusRtuSource as ModbusRtuConfig
from plant.config import ModbusRtuTcpSource as ModbusRtuTcpConfig
from plant.config import ModbusTcpSource as ModbusTcpConfig
from plant.config import MqttSource as MqttConfig
from plant.config import SparkplugSource as SparkplugConfig
from plant.connections import Fault, Link, OutboxStatus, OutputStatus, Rejected, SourceStatus, TagStatus
from plant.errors import NotFoundError, ResourceError, UserInputError
from plant.historian.base import Historian
from plant.points import PointBatch
from plant.reload import Difference
from plant.tags import Tag

log = logging.getLogger(__name__)

_END_SOURCE_S = 2.0
"""How long a source that a reload ends may take to store what it has received."""


def build_source(
    name: str, config: PlantConfig, tags: Sequence[Tag], clock: Clock, buses: Buses, keep: MqttKeep | None = None
) -> Source | None:
    """The source of that name with its tags; None for one without a live link, such as a recording.

    Modbus sources of one endpoint share a bus; `buses` finds the one that is in use already.
    """
    section = config.sources[name]
    match section:
        case ModbusTcpConfig() | ModbusRtuTcpConfig() | ModbusRtuConfig():
            return ModbusSource(name, section, tags, clock, buses.of(section))
        case MqttConfig():
            client_id = section.client_id or _client_id(name, config, keep)
            return MqttSource(name, section, tags, client_id, clock, alive=_alive(name, config), keep=keep)
        case SparkplugConfig():
            client_id = section.client_id or _client_id(name, config, keep)
            return SparkplugSource(name, section, tags, client_id, clock, keep=keep)
        case ReplaySource():
            return None


def _client_id(name: str, config: PlantConfig, keep: MqttKeep | None) -> str:
    own = [] if keep is None else [keep.own_id()]
    return "-".join(["testbed", config.plant.enterprise, config.plant.site, name, *own])


def tags_by_source(config: PlantConfig) -> dict[str, tuple[Tag, ...]]:
    """The tags that each source delivers, in the order of the file."""
    found: dict[str, list[Tag]] = {name: [] for name in config.sources}
    for tag in config.tags():
        found[tag.source].append(tag)
    return {name: tuple(tags) for name, tags in found.items()}


def _collected(config: PlantConfig, tags: Mapping[str, Sequence[Tag]]) -> dict[str, tuple[object, ...]]:
    """All that each source is built from: when it is equal, the source need not be touched."""
    place = (config.plant.enterprise, config.plant.site)  # part of an MQTT client id
    return {name: (section, place, tags[name], _alive(name, config)) for name, section in config.sources.items()}


def _alive(source: str, config: PlantConfig) -> dict[str, AliveConfig]:
    """The machines whose own word on whether they are there comes with this source."""
    found = ((name, machine.alive) for name, machine in config.machines.items())
    return {name: alive for name, alive in found if alive is not None and alive.source == source}


class Gateway:
    """`async with Gateway(…)`. Implements plant.connections.Connections. Started once."""

    def __init__(self, config: PlantConfig, historian: Historian, data_dir: Path, clock: Clock = system_clock) -> None:
        self._config, self._historian, self._clock = config, historian, clock
        self._path = data_dir / "outbox.sqlite"
        self._audit = Audit(data_dir)
        self._buses = Buses()
        self._mqtt_keep = MqttKeep.in_folder(data_dir)
        self._tags = tags_by_source(config)
        self._sources = self._build(config, self._tags, config.sources)
        self._applying = asyncio.Lock()
        self._born_ns = clock()
        self._committer = Committer(self._append)
        self._outputs = Outputs(config, clock, self._mqtt_keep.own_id() if config.outputs else "")
        self._outbox: Outbox | None = None
        self._forwarder: Forwarder | None = None
        self._forward_crash = ""
        self._workers: tuple[Worker, ...] = ()
        self._collecting: dict[str, asyncio.Task[None]] = {}
        self._publishing: list[asyncio.Task[None]] = []
        self._storing: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Opens the outbox and starts every source. Raises ResourceError when the outbox cannot be opened."""
        self._workers = outbox_worker, historian_worker = Worker("outbox"), Worker("historian writer")
        try:
            self._outbox = outbox = await outbox_worker.call(
                lambda: Outbox(self._path, self._clock, outputs=self._outputs.consumers)
            )
        except ResourceError:
            self._close_workers()
            raise

        async def write(batch: PointBatch) -> None:
            await historian_worker.call(lambda: self._historian.write(batch))

        self._forwarder = forwarder = Forwarder(outbox, outbox_worker, write)
        self._storing = [
            asyncio.create_task(self._committer.run(), name="commit to outbox"),
            asyncio.create_task(supervise("forwarding", forwarder.run, self._forwarding_crashed), name="forward"),
        ]
        self._collect(self._sources)
        self._publishing = self._outputs.start(outbox, outbox_worker)

    async def stop(self) -> None:
        """Within 2 s: sources end, what they delivered is committed and, if the historian takes it, forwarded."""
        if self._outbox is None or self._forwarder is None or not self._workers:
            return
        await _end([*self._collecting.values(), *self._publishing], within_s=0.8)
        await _try("committing the last points", self._committer.drain(), within_s=0.4)
        await _end(self._storing, within_s=0.1)
        await _try("forwarding the last points", self._forwarder.flush(), within_s=0.5)
        await _try("closing the outbox", self._workers[0].call(self._outbox.close), within_s=0.2)
        self._close_workers()
        self._mqtt_keep.shelf.close()

    async def apply(self, config: PlantConfig) -> Difference:
        """From now on collects as configured so; gives what became of each source.

        A source whose settings and tags are the same is not touched. Raises UserInputError, with everything as
        before, when one cannot be built.
        """
        async with self._applying:
            # In a thread: comparing and planning thousands of tags must not hold up the sources that go on.
            difference, tags, begins = await asyncio.to_thread(self._plan, config)
            ends = [
                self._collecting.pop(n) for n in (*difference.changed, *difference.removed) if n in self._collecting
            ]
            self._sources = {n: s for n, s in self._sources.items() if n in difference.kept} | begins
            self._config, self._tags = config, tags
            self._outputs.apply(config)
            try:
                await _end(ends, within_s=_END_SOURCE_S)
            finally:
                if self._storing:
                    self._collect(begins)
            return difference

    def _plan(self, config: PlantConfig) -> tuple[Difference, dict[str, tuple[Tag, ...]], dict[str, SupervisedSource]]:
        """What becomes of each source, the tags of all, and the sources that begin."""
        if self._outputs.differ(config):
            raise UserInputError(
                "The outputs, or the enterprise and site in their topics, have changed: that needs a restart.",
                next_step="Stop the system and start it again; what waits for an output is kept.",
            )
        tags = tags_by_source(config)
        difference = Difference.between(_collected(self._config, self._tags), _collected(config, tags))
        return difference, tags, self._build(config, tags, (*difference.added, *difference.changed))

    def _build(
        self, config: PlantConfig, tags: Mapping[str, Sequence[Tag]], names: Iterable[str]
    ) -> dict[str, SupervisedSource]:
        built = {
            name: build_source(name, config, tags[name], self._clock, self._buses, self._mqtt_keep) for name in names
        }
        return {name: SupervisedSource(source) for name, source in built.items() if source is not None}

    def _collect(self, sources: Mapping[str, SupervisedSource]) -> None:
        for name, source in sources.items():
            self._collecting[name] = asyncio.create_task(source.run(self._committer.emit), name=f"source {name}")

    async def write(self, tag_id: str, value: float, who: str) -> float:
        """Writes a value (in the tag's unit) to its machine; gives it as read back. Audited in the data folder.

        Raises NotFoundError, UserInputError (not allowed, out of range), EquipmentError (see its text for what is
        known of the machine now) or ResourceError (no audit, so no write).
        """
        tag = find_tag(tag_id, self._config.tags())
        supervised = self._sources.get(tag.source)
        if supervised is None or not isinstance(supervised.source, ModbusSource):
            raise UserInputError(f"{tag_id} may not be written.", next_step="Only tags of Modbus sources can be.")
        return await write_audited(tag, value, who, supervised.source.write, self._audit, self._clock)

    def sources(self) -> tuple[SourceStatus, ...]:
        config, running = self._config, self._sources
        return tuple(
            running[name].status() if name in running else self._without_link(name, config) for name in config.sources
        )

    def outbox(self) -> OutboxStatus:
        if self._outbox is None or self._forwarder is None:
            return OutboxStatus(batches=0, points=0, bytes=0, oldest_ns=None, dropped_points=0, forwarded_points=0)
        status = self._outbox.status()
        if status.fault is not Fault.NONE:
            return status
        if self._forward_crash:
            return replace(status, fault=Fault.INTERNAL, detail=self._forward_crash)
        if self._forwarder.failure:
            return replace(status, fault=Fault.UNREACHABLE, detail=self._forwarder.failure)
        return status

    def outputs(self) -> tuple[OutputStatus, ...]:
        return self._outputs.status()

    def rejected(self, source: str) -> tuple[Rejected, ...]:
        if source not in self._config.sources:
            raise NotFoundError(f"There is no source “{source}”.", next_step="GET /api/sources lists them.")
        return self._mqtt_keep.shelf.newest(source)

    def _without_link(self, name: str, config: PlantConfig) -> SourceStatus:
        section = config.sources[name]
        return SourceStatus(
            name=name,
            kind=section.type,
            endpoint="",
            link=Link.STOPPED,
            since_ns=self._born_ns,
            detail="a recording: imported, not connected",
            tags=tuple(TagStatus(tag.id) for tag in self._tags.get(name, ())),
        )

    async def _append(self, batches: Sequence[PointBatch]) -> None:
        if self._outbox is None or self._forwarder is None:
            raise RuntimeError("the gateway is not started")
        outbox = self._outbox
        await self._workers[0].call(lambda: outbox.append(batches))
        self._forwarder.wake()
        self._outputs.wake()

    def _forwarding_crashed(self, detail: str) -> None:
        self._forward_crash = detail

    def _close_workers(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers = ()


async def _end(tasks: Sequence[asyncio.Task[None]], within_s: float) -> None:
    """Cancels the tasks and waits for them a while; one that wants to finish something is then cancelled again."""
    pending = set(tasks)
    for wait_s in (within_s, 0.1):
        for task in pending:
            task.cancel()
        if pending:
            _, pending = await asyncio.wait(pending, timeout=wait_s)
    for task in pending:
        log.warning("%s does not end", task.get_name())


async def _try(what: str, step: Awaitable[object], within_s: float) -> None:
    try:
        await asyncio.wait_for(step, within_s)
    except TimeoutError:
        log.warning("%s took too long; what is in the outbox is forwarded at the next start", what)
    except ResourceError as error:
        log.warning("%s: %s", what, error)
