"""A tick that comes as an event: Knative's CloudEvents in both modes, EventBridge's scheduled events in both shapes."""

import json
from typing import Any

import pytest
from deployment import Deployment
from test_tick import in_sink, rotation
from werkzeug.test import TestResponse

TICK = "/v1/rotation/tick"
ATTRIBUTES = {"id": "42", "source": "/apis/v1/namespaces/ml/pingsources/tick", "type": "dev.knative.sources.ping"}
BINARY = {"ce-specversion": "1.0"} | {f"ce-{name}": value for name, value in ATTRIBUTES.items()}
STRUCTURED = {"specversion": "1.0"} | ATTRIBUTES
SCHEDULED = {  # as its documentation shows one
    "version": "0",
    "id": "89d1a02d-5ec7-412e-82f5-13505f849b41",
    "detail-type": "Scheduled Event",
    "source": "aws.scheduler",
    "account": "123456789012",
    "time": "2030-01-02T03:04:05Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:scheduler:eu-central-1:123456789012:schedule/default/tick"],
    "detail": "{}",
}


def send(
    deployment: Deployment,
    body: object,
    *,
    path: str = TICK,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> TestResponse:
    caller = {"X-API-Key": deployment.admin} | (headers or {})
    data = None if body is None else json.dumps(body)
    return deployment.client_of("rotate_due").post(path, data=data, content_type=content_type, headers=caller)


def structured(**changes: Any) -> dict[str, Any]:
    return {"body": STRUCTURED | changes, "content_type": "application/cloudevents+json; charset=utf-8"}


GOOD: dict[str, dict[str, Any]] = {
    "binary": {"body": {"max_rotations": 1}, "headers": BINARY},
    "binary, at the root": {"body": {"max_rotations": 1}, "headers": BINARY, "path": "/"},
    "structured": structured(data={"max_rotations": 1}),
    "structured, at the root": structured(data={"max_rotations": 1}) | {"path": "/"},
    "of EventBridge's scheduler": {"body": SCHEDULED | {"detail": '{"max_rotations": 1}'}},
    "of a rule of EventBridge": {"body": SCHEDULED | {"source": "aws.events", "detail": {"max_rotations": 1}}},
}
BAD: dict[str, dict[str, Any]] = {
    "of an old version": structured(specversion="0.3"),
    "without an id": structured(id=""),
    "with a text as its data": structured(data="tick"),
    "of another type of EventBridge": {"body": SCHEDULED | {"detail-type": "EC2 Instance State-change Notification"}},
    "of another source of EventBridge": {"body": SCHEDULED | {"source": "aws.ec2"}},
    "with a list as its detail": {"body": SCHEDULED | {"detail": []}},
    "without a detail": {"body": {k: v for k, v in SCHEDULED.items() if k != "detail"}},
}


@pytest.mark.parametrize("event", GOOD.values(), ids=GOOD)
def test_a_tick_is_done_and_takes_its_fields_from_the_events_data(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    for name in ("gateway", "scorer"):
        deployment.issue(rotation=rotation(f"vault:acme/{name}"))
    reply = send(deployment, **event)
    assert reply.status_code == 200, reply.json
    assert (reply.json["rotated"], reply.json["remaining"]) == (1, 1)
    assert len([name for name in ("gateway", "scorer") if in_sink(deployment, f"vault:acme/{name}")]) == 1


@pytest.mark.parametrize("event", BAD.values(), ids=BAD)
def test_another_event_does_nothing(deployment: Deployment, event: dict[str, Any]) -> None:
    deployment.issue(rotation=rotation())
    reply = send(deployment, **event)
    assert (reply.status_code, reply.json["code"]) == (422, "BAD_EVENT")
    assert in_sink(deployment) == ""


def test_a_detail_that_is_no_json_is_refused(deployment: Deployment) -> None:
    reply = send(deployment, SCHEDULED | {"detail": "{"})
    assert (reply.status_code, reply.json["code"]) == (400, "MALFORMED_JSON")


def test_an_unknown_field_in_an_event_is_refused(deployment: Deployment) -> None:
    reply = send(deployment, SCHEDULED | {"detail": {"everything": True}})
    assert reply.status_code in (400, 422)


@pytest.mark.parametrize("event", GOOD.values(), ids=GOOD)
def test_an_event_proves_itself_like_any_caller(deployment: Deployment, event: dict[str, Any]) -> None:
    reply = send(deployment, **event | {"headers": event.get("headers", {}) | {"X-API-Key": ""}})
    assert reply.status_code == 401
