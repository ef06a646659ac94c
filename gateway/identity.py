"""What tells this system from another with the same plant.yaml: a short id of the data folder.

An MQTT broker knows a client, and the session that it keeps for it, by the client id alone. Two systems with one id
throw each other out for ever, so the default client ids end in the id of the data folder.
"""

from __future__ import annotations

import logging
import re
import secrets
from pathlib import Path

log = logging.getLogger(__name__)

_FORM = re.compile(r"[0-9a-f]{6}")


def id_of(path: Path) -> str:
    """The id in the file, made once; six hex digits. A file that cannot be kept costs a warning and the sessions
    that brokers hold: the next start gets another id."""
    try:
        known = path.read_text(encoding="ascii").strip()
        if _FORM.fullmatch(known):
            return known
        log.warning("%s holds no id: a new one is made", path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning("the id in %s cannot be read: %s", path, error)
    made = secrets.token_hex(3)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made + "\n", encoding="ascii")
    except OSError as error:
        log.warning("the id in %s cannot be kept: %s", path, error)
    return made
