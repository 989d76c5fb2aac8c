"""Loaded by functions-framework a function answers ahead of Flask; called as a plain function it answers the same."""

from typing import Any

import flask
import functions_framework
import pytest
from deployment import Deployment
from werkzeug.test import EnvironBuilder

from keyrail.operations.validate_key import OPERATION
from keyrail.triggers.http import http_function
from keyrail.triggers.served import Served

HEADERS = {"X-Correlation-ID": "0af7651916cd43dd"}


def test_flask_is_not_asked() -> None:
    app = functions_framework.create_app("handler", "functions/validate_key/main.py", "http")
    app.view_functions.clear()
    assert app.test_client().get("/livez").data == b"alive\n"


@pytest.mark.parametrize(
    "asked",
    [
        {"path": OPERATION.path, "method": "POST", "json": {"key": "no key"}},
        {"path": OPERATION.path, "method": "POST", "data": b"x" * 100_000, "content_type": "application/json"},
        {"path": "/elsewhere", "method": "DELETE"},
        {"path": "/livez", "method": "HEAD"},
    ],
    ids=["answered", "too much sent", "refused", "no body"],
)
def test_a_plain_call_gives_the_same_reply_and_leaves_nothing_to_read(
    deployment: Deployment, asked: dict[str, Any]
) -> None:
    headers = HEADERS | {"X-API-Key": deployment.admin}
    expected = deployment.client_of("validate_key").open(**asked, headers=headers)
    request = flask.Request(EnvironBuilder(**asked, headers=headers).get_environ())
    reply = http_function(Served(OPERATION.name, services=lambda: deployment.services))(request)
    assert (reply.status, reply.get_data()) == (expected.status, expected.data)
    assert dict(reply.headers) == dict(expected.headers)
    assert request.get_data() == b""
