"""What the command line makes of an answer, or of none."""

import json
import socket
from typing import Any

import pytest

from keyrail.triggers.cli_client import Api
from keyrail.triggers.cli_root import CliError
from vault_servers import answering, reply

PROBLEM = {"title": "A title", "detail": "A detail.", "code": "SOME_CODE", "correlation_id": "c" * 32}


def answered(status: str, body: bytes, *headers: str) -> Any:
    """What a call makes of it: the reply, or the error."""
    with answering(lambda connection: connection.sendall(reply(status, body, *headers))) as url:
        try:
            return Api(url, "key").call("POST", "/v1/keys", body={})
        except CliError as error:
            return error


def problem(status: str, *headers: str, **fields: Any) -> CliError:
    error = answered(status, json.dumps(PROBLEM | fields).encode(), *headers)
    assert isinstance(error, CliError)
    return error


def test_a_good_reply_is_its_json() -> None:
    assert answered("201 Created", b'{"key_id": "x"}') == {"key_id": "x"}


def test_a_problem_is_its_detail_its_code_and_the_correlation_id() -> None:
    error = problem("409 Conflict")
    assert error.lines == ["error: A detail. [SOME_CODE]", f"correlation id: {'c' * 32}"]


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [
        ("400 Bad Request", 2),
        ("401 Unauthorized", 1),
        ("403 Forbidden", 1),
        ("404 Not Found", 1),
        ("409 Conflict", 1),
        ("412 Precondition Failed", 1),
        ("413 Content Too Large", 1),
        ("422 Unprocessable Content", 2),
        ("429 Too Many Requests", 1),
        ("500 Internal Server Error", 1),
        ("502 Bad Gateway", 3),
        ("503 Service Unavailable", 3),
        ("504 Gateway Timeout", 3),
    ],
)
def test_the_exit_code_follows_the_status(status: str, exit_code: int) -> None:
    assert problem(status).exit_code == exit_code


def test_wrong_fields_are_named_one_a_line() -> None:
    wrong = [{"field": "scopes.0", "problem": "is no scope"}, {"field": "", "problem": "say more"}]
    _, told, _ = problem("422 Unprocessable Content", errors=wrong).lines
    assert told == "  scopes.0: is no scope\n  say more"


def test_when_to_try_again_is_told() -> None:
    assert "Try again in 7 s." in problem("503 Service Unavailable", "Retry-After: 7").lines


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"", b"[1]", b"null"])
def test_an_answer_of_somebody_else_is_told_as_such(body: bytes) -> None:
    error = answered("502 Bad Gateway", body)
    assert error.exit_code == 3
    assert "is not Keyrail's" in error.lines[0]


def test_a_redirect_is_not_followed_with_the_key() -> None:
    heads: list[str] = []
    with answering(lambda connection: connection.sendall(reply("200 OK", b"{}")), heads) as elsewhere:
        error = answered("307 Temporary Redirect", b"", f"Location: {elsewhere}/v1/keys")
    assert isinstance(error, CliError)
    assert heads == []


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def test_a_lost_reply_is_told_as_unknown_with_how_to_repeat_it() -> None:
    with answering(hang_up) as url, pytest.raises(CliError) as lost:
        Api(url, "key").call("POST", "/v1/keys", body={}, headers={"Idempotency-Key": "again-42"})
    assert lost.value.exit_code == 3
    assert "The outcome is unknown. Repeat it with --idempotency-key again-42" in lost.value.lines


def test_a_lost_reply_without_such_a_key_says_to_look_first() -> None:
    with answering(hang_up) as url, pytest.raises(CliError) as lost:
        Api(url, "key").call("POST", "/v1/keys/0123456789abcdef/revoke", body={})
    assert "look before you repeat it" in lost.value.lines[1]


def test_a_certificate_that_is_not_trusted_is_told_as_such() -> None:
    with (
        answering(lambda connection: connection.sendall(reply("200 OK", b"{}"))) as url,
        pytest.raises(CliError) as refused,
    ):
        Api(url.replace("http:", "https:"), "key").call("GET", "/v1/keys")
    assert "--ca-file" in refused.value.lines[1]
