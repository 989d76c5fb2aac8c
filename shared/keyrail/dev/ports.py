"""Ports of 127.0.0.1 that nobody listens on."""

import contextlib
import socket


def free_ports(count: int) -> list[int]:
    """`count` different ones. Another process may take one before it is used: be ready to ask again."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
