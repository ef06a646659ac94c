"""Which topics each persistent session at a broker holds: a broker does not say, and sends until told to stop."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)


class SessionTopics:
    """Remembered in one small file. One that cannot be read or written costs a warning, not the connection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self, session: str) -> frozenset[str]:
        """Every topic filter that the session may hold."""
        return frozenset(self._read().get(session, ()))

    def keep(self, session: str, filters: Iterable[str]) -> None:
        """From now on the session may hold these and no others."""
        known = self._read()
        if known.get(session) == sorted(filters):
            return
        known[session] = sorted(filters)
        beside = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(known, indent=1), encoding="utf-8")
            os.replace(beside, self._path)  # noqa: PTH105 — whole or not at all
        except OSError as error:
            log.warning("the topics of %s cannot be remembered: %s", session, error)

    def _read(self) -> dict[str, list[str]]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("the remembered topics in %s cannot be read: %s", self._path, error)
            return {}
        return found if isinstance(found, dict) else {}
