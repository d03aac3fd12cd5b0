"""Ports that stay the same from run to run."""

import socket
from collections.abc import Collection, Iterable

from local.home import Home

# Below the range that operating systems hand to outgoing connections.
FIRST_PORT = 14_000
LAST_PORT = 14_999


def is_free(port: int) -> bool:
    """Tells whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(home: Home, names: Iterable[str], held: Collection[str]) -> dict[str, int]:
    """Returns a port per name: the remembered one, or a free one that is remembered from now on.

    Args: held: names whose remembered port is in use by a process of this home.
    """
    known = {name: int(port) for name, port in home.read("ports.json").items()}
    ports: dict[str, int] = {}
    for name in names:
        port = known.get(name)
        if port is None or (name not in held and not is_free(port)):
            port = _next_free({*known.values(), *ports.values()})
        ports[name] = port
    home.write("ports.json", dict(ports))
    return ports


def _next_free(taken: Collection[int]) -> int:
    for port in range(FIRST_PORT, LAST_PORT + 1):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port between {FIRST_PORT} and {LAST_PORT}")
