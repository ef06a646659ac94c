"""The port of the pages: taken before anything else starts, so that a taken one costs nothing."""

from __future__ import annotations

import errno
import socket

from plant.errors import ResourceError


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ResourceError with one clear sentence when the port cannot be had."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise ResourceError(
                f"Port {port} on {host} is taken by another program.",
                next_step=f"Stop that program, or choose another port: --port {port + 1}",
            ) from None
        if error.errno == errno.EACCES:
            raise ResourceError(
                f"Port {port} on {host} needs administrator rights.", next_step="Choose one above 1023: --port 8080"
            ) from None
        raise ResourceError(f"Port {port} on {host} cannot be opened: {error.strerror}.") from None
    return sock


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True
