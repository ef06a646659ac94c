"""The gateway as one object: sources → outbox → historian, and what it says of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
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
from plant.config import ModbusRtuSource as ModbusRtuConfig
from plant.config import ModbusRtuTcpSource as ModbusRtuTcpConfig
from plant.config import ModbusTcpSource as ModbusTcpConfig
from plant.config import MqttSource as MqttConfig
from plant.config import PlantConfig, ReplaySource
from plant.config import SparkplugSource as SparkplugConfig
from plant.connections import Fault, Link, OutboxStatus, OutputStatus, Rejected, SourceStatus, TagStatus
from plant.errors import NotFoundError, ResourceError, UserInputError
from plant.historian.base import Historian
from plant.points import PointBatch
from plant.tags import Tag

log = logging.getLogger(__name__)


def build_source(
    name: str, config: PlantConfig, clock: Clock, buses: Buses, keep: MqttKeep | None = None
) -> Source | None:
    """The source of that name; None for one without a live link, such as a recording.

    Modbus sources of one endpoint share a bus; `buses` finds the one that is in use already.
    """
    section = config.sources[name]
    tags = tags_of(name, config)
    match section:
        case ModbusTcpConfig() | ModbusRtuTcpConfig() | ModbusRtuConfig():
            return ModbusSource(name, section, tags, clock, buses.of(section))
        case MqttConfig():
            client_id = section.client_id or f"testbed-{config.plant.enterprise}-{config.plant.site}-{name}"
            alive = {m: c.alive for m, c in config.machines.items() if c.alive is not None and c.alive.source == name}
            return MqttSource(name, section, tags, client_id, clock, alive=alive, keep=keep)
        case SparkplugConfig():
            client_id = section.client_id or f"testbed-{config.plant.enterprise}-{config.plant.site}-{name}"
            return SparkplugSource(name, section, tags, client_id, clock, keep=keep)
        case ReplaySource():
            return None


def tags_of(source: str, config: PlantConfig) -> tuple[Tag, ...]:
    """The tags that a source delivers, in the order of the file."""
    return tuple(tag for tag in config.tags() if tag.source == source)


class Gateway:
    """`async with Gateway(…)`. Implements plant.connections.Connections. Started once."""

    def __init__(self, config: PlantConfig, historian: Historian, data_dir: Path, clock: Clock = system_clock) -> None:
        self._config, self._historian, self._clock = config, historian, clock
        self._path = data_dir / "outbox.sqlite"
        self._audit = Audit(data_dir)
        self._buses = Buses()
        self._mqtt_keep = keep = MqttKeep.in_folder(data_dir)
        built = {name: build_source(name, config, clock, self._buses, keep) for name in config.sources}
        self._sources = {name: SupervisedSource(source) for name, source in built.items() if source is not None}
        self._born_ns = clock()
        self._committer = Committer(self._append)
        self._outputs = Outputs(config, clock)
        self._outbox: Outbox | None = None
        self._forwarder: Forwarder | None = None
        self._forward_crash = ""
        self._workers: tuple[Worker, ...] = ()
        self._collecting: list[asyncio.Task[None]] = []
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
        self._collecting = [
            asyncio.create_task(source.run(self._committer.emit), name=f"source {name}")
            for name, source in self._sources.items()
        ] + self._outputs.start(outbox, outbox_worker)

    async def stop(self) -> None:
        """Within 2 s: sources end, what they delivered is committed and, if the historian takes it, forwarded."""
        if self._outbox is None or self._forwarder is None or not self._workers:
            return
        await _end(self._collecting, within_s=0.8)
        await _try("committing the last points", self._committer.drain(), within_s=0.4)
        await _end(self._storing, within_s=0.1)
        await _try("forwarding the last points", self._forwarder.flush(), within_s=0.5)
        await _try("closing the outbox", self._workers[0].call(self._outbox.close), within_s=0.2)
        self._close_workers()
        self._mqtt_keep.shelf.close()

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
        return tuple(
            self._sources[name].status() if name in self._sources else self._without_link(name)
            for name in self._config.sources
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

    def _without_link(self, name: str) -> SourceStatus:
        section = self._config.sources[name]
        return SourceStatus(
            name=name,
            kind=section.type,
            endpoint="",
            link=Link.STOPPED,
            since_ns=self._born_ns,
            detail="a recording: imported, not connected",
            tags=tuple(TagStatus(tag.id) for tag in tags_of(name, self._config)),
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
