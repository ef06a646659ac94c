"""Whether a port can be had, said in one clear sentence before a server is started on it."""

from __future__ import annotations

import errno
import os
import socket

from plant.errors import ResourceError


def check_port(host: str, port: int, server: str) -> None:
    """Raises ResourceError when the server could not listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be had: {error}"
        raise ResourceError(
            f"Port {port} on {host} {reason}; the {server} needs it.",
            next_step="Stop that program, or give another port in plant.yaml.",
        ) from None
