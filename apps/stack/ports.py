"""
Free TCP ports on loopback.

They are taken below the kernel's range for outgoing connections: a port from inside it may be in use by
some client's connection at the very moment when a server that died wants it back.
"""

from __future__ import annotations

import random
import socket

from apps.stack.errors import StackError

_LOWEST, _HIGHEST = 10_300, 22_700  # weed adds 10,000 for some ports: both then lie below 32,768


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no owner
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_ports(count: int, *, avoid: frozenset[int] = frozenset(), offset: int = 0) -> list[int]:
    """
    Ports that nobody listens on, none of them in `avoid`.

    Args:
        offset: where not 0, each port's neighbour at that distance is free too.
    """
    found: list[int] = []
    for port in random.sample(range(_LOWEST, _HIGHEST), k=2000):
        if len(found) == count:
            return found
        if port not in avoid and is_free(port) and (not offset or is_free(port + offset)):
            found.append(port)
    raise StackError(f"No {count} free ports between {_LOWEST} and {_HIGHEST} on 127.0.0.1: stop something.")


def accepts(port: int, *, host: str = "127.0.0.1", timeout_s: float = 1.0) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True
