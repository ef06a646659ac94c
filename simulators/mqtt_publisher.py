"""A simulated machine as an MQTT publisher: topics and payloads follow from the machine's tags in plant.yaml.

`<base>/_status` is retained: {"online": true} at birth, {"online": false} as last will; the base is what the machine's
topics have in common.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plant.clock import SECOND, iso
from plant.config import MqttSource
from plant.errors import ResourceError, UserInputError
from plant.tags import Tag
from simulators.encode import payload_value
from simulators.feed import Emission
from simulators.machines.base import Group

_CONNECT_WITHIN_S = 5.0
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\['([^']+)'\]")
Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Message:
    """A topic that a group feeds: where each value of the group stands in its payload."""

    topic: str
    time: Steps | None
    places: tuple[tuple[int, Tag, Steps], ...]  # index in the group, tag, place

    def payload(self, emission: Emission) -> str:
        index, tag, steps = self.places[0]
        if not steps:  # the payload itself is the value
            value = payload_value(tag, emission.values[index])
            return value if isinstance(value, str) else json.dumps(value)
        tree: dict[str, Any] = {}
        if self.time is not None:
            _put(tree, self.time, _time(self.time, emission.time_ns))
        for index, tag, steps in self.places:
            _put(tree, steps, payload_value(tag, emission.values[index]))
        return json.dumps(tree, ensure_ascii=False)


def messages_of(groups: Iterable[Group], tags: Sequence[Tag]) -> dict[str, tuple[_Message, ...]]:
    """The messages of each group, by its name. Raises UserInputError for a path that cannot be built."""
    found: dict[str, tuple[_Message, ...]] = {}
    for group in groups:
        topics: dict[str, list[Tag]] = {}
        for tag in tags:
            if tag.name in group.signals:
                topics.setdefault(topic_of(tag), []).append(tag)
        found[group.name] = tuple(_message(topic, group, members) for topic, members in topics.items())
    return found


def topic_of(tag: Tag) -> str:
    """Where the machine publishes the tag; its own id stands in for a wildcard."""
    return re.sub(r"[+#]", tag.machine, tag.topic or "")


class MqttPublisher:
    """One machine's connection to the broker. `start` raises ResourceError when the broker does not answer."""

    def __init__(self, machine_id: str, source: MqttSource, groups: Iterable[Group], tags: Sequence[Tag]) -> None:
        self._source = source
        self._messages = messages_of(groups, tags)
        self.status_topic = f"{_common_base([topic_of(tag) for tag in tags]) or machine_id}/_status"
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"machine-{machine_id}", protocol=MQTTv311)
        self._client.will_set(self.status_topic, _status(online=False), qos=1, retain=True)
        self._client.max_queued_messages_set(1_000)  # a machine does not keep more while the broker is away
        self._client.reconnect_delay_set(min_delay=1, max_delay=10)
        if source.username is not None:
            password = source.password.get_secret_value() if source.password else None
            self._client.username_pw_set(source.username, password)

    async def start(self) -> None:
        loop, answered = asyncio.get_running_loop(), asyncio.Event()

        def on_connect(
            client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
        ) -> None:
            if not reason.is_failure:
                client.publish(self.status_topic, _status(online=True), qos=1, retain=True)
                loop.call_soon_threadsafe(answered.set)

        self._client.on_connect = on_connect
        self._client.connect_async(self._source.host, self._source.port, keepalive=30)
        self._client.loop_start()
        try:
            await asyncio.wait_for(answered.wait(), _CONNECT_WITHIN_S)
        except TimeoutError:
            await asyncio.to_thread(self._end)
            raise ResourceError(
                f"No MQTT broker answers on {self._source.host} port {self._source.port}.",
                next_step="Start one there, or let the shop floor do it: --broker auto",
            ) from None

    def publish(self, emission: Emission) -> None:
        for message in self._messages[emission.group.name]:
            self._client.publish(message.topic, message.payload(emission), qos=1)

    async def stop(self) -> None:
        """Say good-bye and close; at most half a second for the good-bye."""
        await asyncio.to_thread(self._farewell)

    def _farewell(self) -> None:
        if self._client.is_connected():
            self._client.publish(self.status_topic, _status(online=False), qos=1, retain=True).wait_for_publish(0.5)
        self._end()

    def _end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _message(topic: str, group: Group, tags: Sequence[Tag]) -> _Message:
    places = tuple((group.signals.index(tag.name), tag, _steps(tag, tag.path)) for tag in tags)
    if len(places) > 1 and any(not steps for _, _, steps in places):
        raise UserInputError(
            f"Several tags share the topic {topic}, and one of them takes the payload itself.",
            next_step="Give each of them a path.",
        )
    time_path = next((tag.time_path for tag in tags if tag.time_path), None)
    return _Message(topic, _steps(tags[0], time_path) or None, places)


def _steps(tag: Tag, path: str | None) -> Steps:
    """`$.a.b[0]` as ("a", "b", 0)."""
    rest = (path or "$").removeprefix("$")
    found = list(_STEP.finditer(rest))
    if "".join(match.group() for match in found) != rest:
        raise UserInputError(
            f"{tag.id}: a simulated machine cannot build a payload for the path {path}.",
            next_step="Use a plain path such as $.temperature.melt or $.values[0].",
        )
    return tuple(int(m.group(2)) if m.group(2) else m.group(1) or m.group(3) for m in found)


def _put(tree: Any, steps: Steps, value: object) -> None:
    """Set a value deep in nested dicts and lists, which grow on the way."""
    for step, following in zip(steps, (*steps[1:], None), strict=True):
        if isinstance(step, int):
            tree += [None] * (step + 1 - len(tree))
        if following is None:
            tree[step] = value
            return
        if (tree[step] if isinstance(step, int) else tree.get(step)) is None:
            tree[step] = [] if isinstance(following, int) else {}
        tree = tree[step]


def _time(steps: Steps, time_ns: int) -> int | str:
    """Milliseconds where the field's name says so, else ISO 8601."""
    return time_ns * 1000 // SECOND if str(steps[-1]).endswith("_ms") else iso(time_ns)


def _common_base(topics: Sequence[str]) -> str:
    """The levels, from the first on, that all topics share; never the last one.

    >>> _common_base(["retrofit/lathe-1/em:0", "retrofit/lathe-1/counter:0"])
    'retrofit/lathe-1'
    """
    columns = zip(*(topic.split("/")[:-1] for topic in topics), strict=False)
    return "/".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))


def _status(*, online: bool) -> str:
    status: Mapping[str, bool] = {"online": online}
    return json.dumps(status)
