"""Ports of 127.0.0.1 that nobody listens on."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path

_GIVEN = Path(f"/tmp/keyrail-ports-{os.getuid()}")  # noqa: S108 - the same for all, whatever their TMPDIR; only theirs
_FIRST, _LAST = 20_000, 32_000  # below those that the kernel gives to whoever asks for any


def free_ports(count: int) -> list[int]:
    """`count` different ones, and others than this user's processes were given lately: else, of two that start
    servers side by side, one could find the other's server at the port that it was given itself.

    Another program may take one before it is used: be ready to ask again.
    """
    with os.fdopen(os.open(_GIVEN, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+") as given:
        fcntl.flock(given, fcntl.LOCK_EX)
        last = given.read()
        port, found = int(last) if last.isdecimal() else _LAST, list[int]()
        while len(found) < count:
            port = port + 1 if _FIRST <= port < _LAST else _FIRST
            if _is_free(port):
                found.append(port)
        given.seek(0)
        given.write(str(port))  # always of five digits
    return found


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.socket() as asked:
        asked.bind(("127.0.0.1", port))
        return True
    return False
