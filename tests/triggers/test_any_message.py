"""Whatever is sent, the answer is a reply or a clear refusal, never a 5xx; hypothesis draws the messages."""

import json
from string import printable
from typing import Any

import pytest
from deployment import OPERATIONS, Deployment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from refusals import BODIES, TAKING_A_BODY
from werkzeug.test import TestResponse

FIXED = settings(
    max_examples=30,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # one deployment takes them all
)
ON_ALL = pytest.mark.parametrize("operation", OPERATIONS)
WITH_A_BODY = pytest.mark.parametrize("operation", TAKING_A_BODY)

LEAVES = some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8)
VALUES = some.recursive(
    LEAVES, lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4)
)
FRAGMENTS = some.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\u", b"\\ud83d", b"1e", b"-", b"0", b"null", b"key", b"\xff", b" "]
)


def is_clear(reply: TestResponse) -> None:
    assert reply.status_code < 500, reply.data
    assert reply.status_code in (200, 201) or {"code", "correlation_id"} <= reply.json.keys()


@pytest.fixture
def key_id(deployment: Deployment) -> str:
    return deployment.issue().key_id


@WITH_A_BODY
@FIXED
@given(data=some.data())
def test_any_bytes(deployment: Deployment, key_id: str, operation: str, data: Any) -> None:
    body = data.draw(some.binary(max_size=300) | some.lists(FRAGMENTS, max_size=30).map(b"".join))
    is_clear(deployment.call(operation, key_id=key_id, data=body, content_type="application/json"))


@WITH_A_BODY
@FIXED
@given(data=some.data())
def test_any_value_in_any_field(deployment: Deployment, key_id: str, operation: str, data: Any) -> None:
    names = some.sampled_from(sorted(OPERATIONS[operation].request.model_fields))
    fields = data.draw(some.dictionaries(names | some.text(max_size=8), VALUES, max_size=3))
    body = json.dumps(data.draw(some.sampled_from([{}, BODIES[operation]])) | fields)
    is_clear(deployment.call(operation, key_id=key_id, data=body.encode(), content_type="application/json"))


@WITH_A_BODY
@FIXED
@given(body=VALUES)
def test_any_json(deployment: Deployment, key_id: str, operation: str, body: Any) -> None:
    is_clear(deployment.call(operation, key_id=key_id, data=json.dumps(body), content_type="application/json"))


LATIN = some.text(some.characters(codec="latin-1", exclude_characters="\r\n"), max_size=40)
HEADERS = ["Authorization", "X-API-Key", "X-Correlation-ID", "traceparent", "Idempotency-Key", "If-Match", "Accept"]


@ON_ALL
@FIXED
@given(name=some.sampled_from(HEADERS), value=LATIN)
def test_any_header(deployment: Deployment, key_id: str, operation: str, name: str, value: str) -> None:
    is_clear(deployment.call(operation, BODIES.get(operation), key_id=key_id, headers={name: value}))


@pytest.mark.parametrize("operation", ["get_key", "list_keys", "rotate"])
@FIXED
@given(query=some.text(printable, max_size=40) | some.text(max_size=20))
def test_any_query(deployment: Deployment, key_id: str, operation: str, query: str) -> None:
    is_clear(deployment.call(operation, key_id=key_id, query=query.encode("utf-8", "replace").decode("latin-1")))


@pytest.mark.parametrize("operation", ["get_key", "rotate", "update_key"])
@FIXED
@given(
    text=some.text(some.characters(exclude_categories=["Cs"], exclude_characters="/?#\n\r\t"), min_size=1, max_size=20)
)
def test_any_key_id(deployment: Deployment, operation: str, text: str) -> None:
    is_clear(deployment.call(operation, BODIES.get(operation), key_id=text))
