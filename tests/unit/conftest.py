"""Unit tests use neither network nor luck: sockets are closed, and hypothesis draws the same examples each time.

`pytest tests/unit --hypothesis-profile=deep` draws many fresh ones instead.
"""

import socket
from typing import NoReturn

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.register_profile("deep", max_examples=3000, deadline=None, database=None, print_blob=True)
settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def _closed_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        # not an Exception, so no handler of the code under test swallows it
        pytest.fail("a unit test tried to use the network")

    for way_out in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, way_out, refuse)
