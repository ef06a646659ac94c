"""Whether a machine is there, in its own words: mostly a retained topic that its last will sets to offline (pure)."""

from __future__ import annotations

from gateway.payload import Message, compile_path, parse_json
from plant.config import AliveConfig
from plant.errors import DecodeError


class AliveReader:
    """Reads one machine's word."""

    def __init__(self, machine: str, config: AliveConfig) -> None:
        self.machine = machine
        self._path = compile_path(f"{machine}: alive", config.path)
        self._online = {word.casefold() for word in config.online}
        self._offline = {word.casefold() for word in config.offline}

    def read(self, message: Message) -> bool | None:
        """True: online, False: offline, None: neither word, or no word at all."""
        word = self._word(message)
        return True if word in self._online else False if word in self._offline else None

    def _word(self, message: Message) -> str | None:
        document = parse_json(message.payload)
        if self._path is None:
            if isinstance(document, DecodeError):
                return message.payload.decode("utf-8", "replace").strip().casefold()
        elif isinstance(document, DecodeError):
            return None
        else:
            found = self._path.find(document)
            document = found[0].value if len(found) == 1 else None
        if isinstance(document, bool) or not isinstance(document, (str, int, float)):
            return str(document).casefold() if isinstance(document, bool) else None
        return str(document).strip().casefold()
