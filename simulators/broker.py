"""The shop floor's MQTT broker: mosquitto where it is installed, else amqtt inside this process. Loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import shutil
import signal
import socket
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from plant.errors import ResourceError, UserInputError
from simulators.ports import check_port

_READY_WITHIN_S = 5.0
_GUARD = """
exec 3<&0
"$0" -c "$1" 3<&- &
broker=$!
{ cat <&3 >/dev/null; kill $broker; } 2>/dev/null &
wait $broker
rm -f "$1" && rmdir "${1%/*}"
"""


class BrokerChoice(StrEnum):
    AUTO = "auto"
    MOSQUITTO = "mosquitto"
    AMQTT = "amqtt"
    NONE = "none"


class Broker(Protocol):
    """A running broker."""

    name: str

    async def stop(self) -> None:
        """Let go of the port."""


async def start_broker(choice: BrokerChoice, host: str, port: int) -> Broker | None:
    """The broker that was chosen, listening; None where a broker of somebody else is to be used."""
    if choice is BrokerChoice.NONE or (choice is BrokerChoice.AUTO and not _is_loopback(host)):
        return None
    if not _is_loopback(host):
        raise UserInputError(
            f"The shop floor's broker lets everybody in, so it serves this computer only, not {host}.",
            next_step="Write host: 127.0.0.1 in plant.yaml, or run your own broker and give --broker none.",
        )
    check_port(host, port, "MQTT broker")
    path = mosquitto_path()
    if choice is BrokerChoice.MOSQUITTO and path is None:
        raise ResourceError(
            "mosquitto is not installed.", next_step="Install it, or use the built-in broker: --broker amqtt"
        )
    if path is not None and choice is not BrokerChoice.AMQTT:
        return await _Mosquitto.start(path, host, port)
    return await _Amqtt.start(host, port)


def mosquitto_path() -> str | None:
    """Where mosquitto is installed (Debian puts it outside a user's PATH); not used on Windows."""
    if os.name != "posix":
        return None
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class _Mosquitto:
    """mosquitto under a small shell that ends it when our end of a pipe closes: even a kill -9 leaves none behind.

    (Linux' parent-death signal does not do: mosquitto, started by root, changes its user, which clears it.)
    """

    name = "mosquitto"

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, path: str, host: str, port: int) -> _Mosquitto:
        settings = Path(tempfile.mkdtemp(prefix="testbed-mosquitto-")) / "mosquitto.conf"  # the guard removes it
        settings.write_text(f"listener {port} {host}\nallow_anonymous true\npersistence false\nlog_type error\n")
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", _GUARD, path, str(settings)),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is for us, not for the guard
        )
        broker = cls(process)
        try:
            await asyncio.wait_for(broker._listening(host, port), _READY_WITHIN_S)
        except (TimeoutError, ResourceError):
            await broker.stop()
            raise ResourceError(
                f"mosquitto did not start on {host} port {port}; what it said stands above.",
                next_step="Use the built-in broker: --broker amqtt",
            ) from None
        return broker

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 1.0)
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def _listening(self, host: str, port: int) -> None:
        while self._process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)
        raise ResourceError("mosquitto ended")


class _Amqtt:
    """amqtt in this process: MQTT 3.1.1, enough for a demo."""

    name = "amqtt"

    def __init__(self, broker: object) -> None:
        self._broker = broker

    @classmethod
    async def start(cls, host: str, port: int) -> _Amqtt:
        from amqtt.broker import Broker as AmqttBroker

        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        listeners = {"default": {"type": "tcp", "bind": f"{host}:{port}"}}
        broker = AmqttBroker({"listeners": listeners, "plugins": anonymous})
        await broker.start()
        return cls(broker)

    async def stop(self) -> None:
        await self._broker.shutdown()  # type: ignore[attr-defined]  # amqtt has no types


def _is_loopback(host: str) -> bool:
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(address.split("%")[0]).is_loopback for address in addresses)
