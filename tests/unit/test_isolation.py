"""Unit tests reach nothing outside their own process."""

import contextlib
import socket

import pytest


def test_a_connection_fails_the_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="network"):
        socket.create_connection(("127.0.0.1", 9))


def test_no_handler_for_ordinary_errors_hides_the_attempt() -> None:
    with pytest.raises(pytest.fail.Exception):
        _carelessly_connect()


def test_a_server_cannot_be_opened() -> None:
    with pytest.raises(pytest.fail.Exception), socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))


def _carelessly_connect() -> None:
    with contextlib.suppress(Exception), socket.socket() as opened:
        opened.connect_ex(("127.0.0.1", 9))
