"""Real MQTT brokers on a free loopback port, for any test: mosquitto as a process, amqtt inside this one."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import paho.mqtt.client as paho
from amqtt.broker import Broker as AmqttServer

from tests.processes import free_port

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
_AMQTT_ANONYMOUS = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


class Mosquitto:
    """A mosquitto process; sessions and retained messages survive `stop` and `start`. `user:password` closes it."""

    def __init__(self, folder: Path, *, login: tuple[str, str] | None = None) -> None:
        assert MOSQUITTO is not None
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            "user root",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
        ]
        if login is None:
            lines.append("allow_anonymous true")
        else:
            passwords = folder / "passwords"
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), *login], check=True, capture_output=True)
            lines += ["allow_anonymous false", f"password_file {passwords}"]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")

    async def start(self) -> None:
        command = [str(MOSQUITTO), "-c", str(self._config)]
        self._process = await asyncio.to_thread(
            subprocess.Popen, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await _listening(self.port)

    async def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, 10)
            self._process = None


class Amqtt:
    """The broker of the demo, in this process."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: AmqttServer | None = None
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)

    async def start(self) -> None:
        listener = {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}
        self._server = AmqttServer({"listeners": {"default": listener}, "plugins": _AMQTT_ANONYMOUS})
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()
            self._server = None


@asynccontextmanager
async def running_broker(kind: str, folder: Path) -> AsyncIterator[Mosquitto | Amqtt]:
    """A broker that runs and is stopped at the end; `kind` is mosquitto or amqtt."""
    broker = Mosquitto(folder) if kind == "mosquitto" else Amqtt()
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


class Publisher:
    """A machine that publishes. Each `send` returns when the broker has taken the message (QoS 1)."""

    def __init__(self, port: int, login: tuple[str, str] | None = None) -> None:
        self._port, self._login = port, login

    async def __aenter__(self) -> Publisher:
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="machine")
        if self._login is not None:
            self._client.username_pw_set(*self._login)
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        self._client.loop_start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def send(self, topic: str, payload: str | bytes, *, retain: bool = False, qos: int = 1) -> None:
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        await asyncio.to_thread(info.wait_for_publish, 10)


async def _listening(port: int) -> None:
    for _ in range(500):
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"nothing listens on {port}")
