"""One connection to an MQTT broker, for sources and outputs: version, TLS, login, last will, and why it ended.

paho runs one network thread per connection; it only hands over to the event loop. Every connection has a client
object of its own, so that a late acknowledgement can never reach the next connection, where the broker may have
given its packet id to another message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plant.config import BrokerFields, MqttVersion, TlsConfig
from plant.connections import Fault

log = logging.getLogger(__name__)

_KEEPALIVE_S = 20
_CONNECT_TIMEOUT_S = 3.0
_ANSWER_S = 3.0
_DENIED = (134, 135)  # bad user name or password, not authorised
_WRONG_VERSION = 132
_TAKEN_OVER = 142
_NO_TLS = "the broker does not speak TLS on this port; it is mostly 8883"
V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
NAMES = {V5: "MQTT 5", V311: "MQTT 3.1.1"}


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a connection is over."""

    fault: Fault
    detail: str
    wrong_version: bool = False
    """The broker does not speak our version, or hung up before it said a word."""
    taken_over: bool = False
    """Another client came with our client id."""


def _is_ours(record: logging.LogRecord) -> bool:
    """An exception in one of our callbacks. What paho says of a broken connection, several times each, is in our
    status and log."""
    return record.levelno < logging.WARNING or str(record.msg).startswith("Caught exception")


_paho_log = log.getChild("paho")
_paho_log.addFilter(_is_ours)


class _Client(paho.Client):
    """paho's client, which says so when its network thread dies: paho itself calls nobody."""

    died: Any

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:  # noqa: FBT001
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:  # this thread has no other supervisor
            log.exception("the network thread of an MQTT connection died")
            self.died(error)
            return MQTTErrorCode.MQTT_ERR_UNKNOWN


@dataclass(frozen=True, slots=True)
class Will:
    """A retained topic that says `online` while we are there and `offline` otherwise."""

    topic: str
    online: bytes = b"online"
    offline: bytes = b"offline"


class BrokerLink:
    """One connection. `_accepted` and the other methods that begin with `_on_` run in paho's thread."""

    def __init__(
        self,
        config: BrokerFields,
        client_id: str,
        version: MQTTProtocolVersion,
        *,
        will: Will | None = None,
        session_expiry_s: int | None = None,
        receive_maximum: int | None = None,
    ) -> None:
        self.config, self.version, self.will = config, version, will
        self._client_id = client_id
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Ended] = self.loop.create_future()
        self.accepted: asyncio.Future[None] = self.loop.create_future()
        self._heard = False  # the broker has answered our CONNECT
        self._patience: asyncio.TimerHandle | None = None
        self._session_expiry_s, self._receive_maximum = session_expiry_s, receive_maximum
        self.client = client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if version == V5 else session_expiry_s is None,
            protocol=version,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.died = lambda error: self._in_loop(self._lost, f"the broker sent something malformed: {error}")
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.suppress_exceptions = True  # a last resort: an exception in a callback would end paho's thread
        client.enable_logger(_paho_log)
        if config.username is not None:
            client.username_pw_set(config.username, config.password.get_secret_value() if config.password else None)
        if will is not None:
            client.will_set(will.topic, will.offline, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect

    async def open(self) -> None:
        """Opens the socket; the broker's answer comes later, as `_accepted` or `ended`."""
        try:
            await asyncio.to_thread(self._connect)
        except ConnectionRefusedError as error:
            self._end(Ended(Fault.REFUSED, str(error)))
        except TimeoutError as error:
            self._end(Ended(Fault.TIMEOUT, str(error)))
        except ssl.SSLError as error:
            self._end(Ended(Fault.TLS, _tls_words(error)))
        except ConnectionResetError as error:
            if self.config.tls is not None:
                self._end(Ended(Fault.TLS, _NO_TLS))
            else:
                self._end(Ended(Fault.LOST, str(error)))
        except OSError as error:
            unreadable = error.filename is not None
            fault = Fault.TLS if unreadable else Fault.UNREACHABLE
            self._end(Ended(fault, f"the file {error.filename} cannot be read" if unreadable else str(error)))
        else:
            self.client.loop_start()
            self._patience = self.loop.call_later(_ANSWER_S, self._no_answer)

    async def close(self) -> None:
        """Says goodbye; the broker then does not publish the last will, so we say ourselves that we are gone."""
        if self._patience is not None:
            self._patience.cancel()
        self.client.disable_logger()  # paho calls it an error that a closed client is not connected
        if self.will is not None and self._heard and not self.ended.done():
            gone = self.client.publish(self.will.topic, self.will.offline, qos=1, retain=True)
            await asyncio.to_thread(_wait_for, gone)
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)
        client = self.client  # without the cycle client → callback → us → client, paho closes its sockets at once
        client.on_connect = client.on_disconnect = client.on_subscribe = client.on_message = client.on_publish = None
        client.died = None

    def _connect(self) -> None:
        if self.config.tls is not None:
            self.client.tls_set_context(_tls_context(self.config.tls))
            self.client.tls_insecure_set(self.config.tls.insecure)
        if self.version == V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            if self._receive_maximum is not None:
                properties.ReceiveMaximum = self._receive_maximum
            if self._session_expiry_s:
                properties.SessionExpiryInterval = self._session_expiry_s
            clean = self._session_expiry_s is None
            host, port = self.config.host, self.config.port
            self.client.connect(host, port, _KEEPALIVE_S, clean_start=clean, properties=properties)
        else:
            self.client.connect(self.config.host, self.config.port, _KEEPALIVE_S)

    def _accepted(self, flags: paho.ConnectFlags, properties: Properties | None) -> None:
        """The broker lets us in."""

    def _no_answer(self) -> None:
        if not self._heard:
            self._end(Ended(Fault.TIMEOUT, "the broker does not answer", wrong_version=True))

    def _in(self) -> None:
        if not self.accepted.done():
            self.accepted.set_result(None)

    def _lost(self, detail: str) -> None:
        self._end(Ended(Fault.LOST, detail, wrong_version=not self._heard))

    def _end(self, ended: Ended) -> None:
        if not self.ended.done():
            self.ended.set_result(ended)

    def _in_loop(self, function: object, *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self.loop.call_soon_threadsafe(function, *args)  # type: ignore[arg-type]

    def _on_connect(
        self,
        client: paho.Client,
        _data: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._heard = True
        if reason.is_failure:
            fault = Fault.NOT_AUTHORISED if reason.value in _DENIED else Fault.REFUSED
            ended = Ended(fault, f"the broker says: {reason}", wrong_version=reason.value == _WRONG_VERSION)
            self._in_loop(self._end, ended)
            return
        if self.will is not None:
            client.publish(self.will.topic, self.will.online, qos=1, retain=True)
        self._in_loop(self._in)
        self._accepted(flags, properties)

    def _on_disconnect(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.value == _TAKEN_OVER:
            ended = Ended(Fault.LOST, f"the broker ended the connection: {same_id(self._client_id)}", taken_over=True)
            self._in_loop(self._end, ended)
        else:
            self._in_loop(self._lost, f"the connection ended: {reason}")


class VersionChoice:
    """Which version to connect with: the one that is configured; for `auto`, 5 where the broker speaks it.

    `auto` asks with a short connection of its own, without properties and last will: some brokers of 3.1.1
    choke on a whole CONNECT of version 5 instead of refusing it (amqtt waits for ever for the rest of it).
    """

    def __init__(self, config: BrokerFields, client_id: str) -> None:
        self._config, self._client_id = config, client_id
        self._known = {MqttVersion.V5: V5, MqttVersion.V311: V311}.get(config.version)

    async def find(self) -> MQTTProtocolVersion | Ended:
        """The version, or why the broker cannot be reached. A broker of 3.1.1 is asked again at each connect."""
        if self._known is not None:
            return self._known
        probe = BrokerLink(self._config, f"{self._client_id}-version", V5)
        try:
            await probe.open()
            answer: set[asyncio.Future[Any]] = {probe.ended, probe.accepted}
            await asyncio.wait(answer, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await probe.close()
        ended = probe.ended.result() if probe.ended.done() and not probe.accepted.done() else None
        if ended is not None and ended.wrong_version:
            return V311
        if ended is not None and ended.fault is not Fault.NOT_AUTHORISED:  # whom it turns away it has understood
            return ended
        self._known = V5
        return V5

    def refused(self) -> None:
        """The broker does not take that version (any more)."""
        if self._config.version is MqttVersion.AUTO:
            self._known = None


def same_id(client_id: str) -> str:
    """What to do about a second client with our id."""
    return f"another client uses the id {client_id}; give each system a client_id of its own in plant.yaml"


def _wait_for(message: paho.MQTTMessageInfo) -> None:
    with contextlib.suppress(RuntimeError, ValueError):  # not connected any more: the last will speaks for us
        message.wait_for_publish(0.3)


class _TlsSocket(ssl.SSLSocket):
    """Closed when the handshake fails: paho would leave it open."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001 — as in the standard library
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _tls_context(tls: TlsConfig) -> ssl.SSLContext:
    for path in (tls.ca, tls.cert, tls.key):
        if path is not None:
            path.open("rb").close()  # the error of ssl would not name the file
    context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
    context.sslsocket_class = _TlsSocket
    if tls.cert is not None and tls.key is not None:
        context.load_cert_chain(tls.cert, tls.key)
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _tls_words(error: ssl.SSLError) -> str:
    """What went wrong in words for who set the certificates up."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not accepted: {error.verify_message}; is tls.ca its authority's?"
    if "WRONG_VERSION_NUMBER" in str(error) or isinstance(error, ssl.SSLEOFError):
        return _NO_TLS
    if any(word in str(error) for word in ("PEM", "NO_CERTIFICATE", "MISMATCH")):
        return f"a certificate or key file is not PEM, or does not fit: {error}"
    return f"TLS failed: {error.reason.replace('_', ' ').lower()}"
