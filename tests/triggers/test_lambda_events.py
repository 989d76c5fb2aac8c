"""What else may call a Lambda: the clock, a queue, and anything that is none of these."""

import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from deployment import OPERATIONS, Deployment, unavailable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from lambda_client import EVENTS, Context, handler_of, recorded
from process_output import Output
from test_any_message import VALUES
from test_tick import fail_for, in_sink, rotation

from keyrail.triggers.lambda_authorizer import AuthorizerFailed, Unauthorized
from keyrail.triggers.lambda_schedule import EventFailed

ROTATOR = "rotate"
CLOCKS = ("scheduler", "rule")


def told_by_clock(name: str, **detail: Any) -> dict[str, Any]:
    """As each of them puts its detail."""
    return recorded(name) | {"detail": json.dumps(detail) if name == "scheduler" else detail}


def run(event: Any, operation: str = ROTATOR, **context: Any) -> Any:
    return handler_of(operation)(event, Context(**context))


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_clock_rotates_what_is_due_and_may_do_so_by_iam(deployment: Deployment, output: Output, clock: str) -> None:
    deployment.issue(rotation=rotation())
    assert run(told_by_clock(clock))["rotated"] == 1
    assert deployment.code_of(in_sink(deployment)) == "VALID"
    line = next(line for line in output.lines("request") if line["operation"] == "rotate_due")
    assert (line["actor"], line["correlation_id"]) == ("iam:scheduler", recorded(clock)["id"])


@pytest.mark.parametrize("clock", CLOCKS)
def test_an_event_names_a_sweep(deployment: Deployment, clock: str) -> None:
    deployment.issue(rotation=rotation())
    reply = run(told_by_clock(clock, operation="sweep", unused_days=30))
    assert reply["looked_at"] == 2, "that key and the admin's"
    assert in_sink(deployment) == "", "no tick"


def test_fired_twice_late_or_again_each_key_rotates_once(deployment: Deployment) -> None:
    deployment.issue(rotation=rotation())
    first, again = run(told_by_clock("scheduler")), run(told_by_clock("scheduler"))
    assert (first["rotated"], again["rotated"]) == (1, 0)
    deployment.wait(600)
    assert run(told_by_clock("scheduler") | {"time": "2020-01-01T00:00:00Z"})["rotated"] == 0


@pytest.mark.parametrize("clock", CLOCKS)
def test_what_is_left_undone_fails_the_event_so_that_lambda_calls_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    for name in ("gateway", "scorer"):
        deployment.issue(rotation=rotation(f"vault:acme/{name}"))
    fail_for(deployment, monkeypatch, "gateway")
    with pytest.raises(EventFailed, match=r"^UNAVAILABLE$"):
        run(told_by_clock(clock))
    assert deployment.code_of(in_sink(deployment, "vault:acme/scorer")) == "VALID"


def test_a_store_that_is_away_fails_the_event(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment.services.due, "due", unavailable)
    with pytest.raises(EventFailed, match=r"^UNAVAILABLE$"):
        run(told_by_clock("scheduler"))


BAD_DETAIL = {
    "an unknown field": {"everything": True},
    "no budget": {"budget_seconds": 0},
    "another operation": {"operation": "revoke_key"},
    "one that the clock may not call": {"operation": "rotate"},
    "no name": {"operation": 5},
}


@pytest.mark.parametrize("detail", BAD_DETAIL.values(), ids=BAD_DETAIL)
def test_a_bad_detail_fails_and_does_nothing(deployment: Deployment, detail: dict[str, Any]) -> None:
    deployment.issue(rotation=rotation())
    with pytest.raises(EventFailed, match=r"^(BAD_EVENT|INVALID_FIELD|MALFORMED_REQUEST)$"):
        run(told_by_clock("rule", **detail))
    assert in_sink(deployment) == ""


@pytest.mark.parametrize("changes", [{"source": "aws.ec2"}, {"detail-type": "Other"}, {"detail": "{"}, {"detail": []}])
def test_another_event_fails_and_does_nothing(deployment: Deployment, changes: dict[str, Any]) -> None:
    deployment.issue(rotation=rotation())
    with pytest.raises(EventFailed):
        run(recorded("scheduler") | changes)
    assert in_sink(deployment) == ""


@pytest.mark.parametrize(("milliseconds_left", "rotated"), [(60_000, 4), (16_000, 2)])
def test_a_tick_ends_before_lambda_does(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, milliseconds_left: int, rotated: int
) -> None:
    """Each look takes four seconds: of eleven, the budget that is left, the third would not end in time."""
    for n in range(4):
        deployment.issue(rotation=rotation(f"vault:acme/app-{n}"))
    read = deployment.services.delivery.read

    def slow(sink: Any) -> Any:
        deployment.clock.seconds += 2.0  # twice a rotation
        return read(sink)

    monkeypatch.setattr(deployment.services.delivery, "read", slow)
    assert run(told_by_clock("scheduler"), milliseconds_left=milliseconds_left)["rotated"] == rotated


class TestAQueue:
    def test_of_ticks_is_worked_off(self, deployment: Deployment) -> None:
        deployment.issue(rotation=rotation())
        event = recorded("sqs")
        event["Records"][1]["body"] = json.dumps(recorded("scheduler"))
        assert run(event) == {"batchItemFailures": []}
        assert deployment.code_of(in_sink(deployment)) == "VALID"

    def test_names_the_messages_that_are_to_come_again(self, deployment: Deployment) -> None:
        deployment.issue(rotation=rotation())
        for body in ("{", "[]", '{"operation": "revoke_key"}', '{"x": 1}', "\ud800", None, 5):
            event = recorded("sqs")
            event["Records"][0]["body"] = body
            failed = [{"itemIdentifier": event["Records"][0]["messageId"]}]
            assert run(event) == {"batchItemFailures": failed}
        assert deployment.code_of(in_sink(deployment)) == "VALID", "the other message is done"


@pytest.mark.parametrize("operation", ["validate_key", "issue_key", "get_key"])
@pytest.mark.parametrize("event", ["scheduler", "rule", "sqs"])
def test_nothing_else_takes_the_clocks_events(deployment: Deployment, operation: str, event: str) -> None:
    reply = run(recorded(event), operation)
    assert (reply["statusCode"], json.loads(reply["body"])["code"]) == (400, "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    "event", [None, [], "", 5, {}, {"Records": [{"eventSource": "aws:s3"}]}, {"requestContext": 1}]
)
@pytest.mark.parametrize("operation", ["validate_key", ROTATOR])
def test_what_is_no_event_is_a_problem(deployment: Deployment, output: Output, operation: str, event: object) -> None:
    output.clear()
    reply = run(event, operation)
    assert (reply["statusCode"], json.loads(reply["body"])["code"]) == (400, "MALFORMED_REQUEST")
    assert output.lines("request")[-1]["correlation_id"] == Context().aws_request_id


def test_wrong_settings_are_a_problem_and_an_error_for_events(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keyrail import bootstrap

    monkeypatch.setattr(bootstrap, "_built", None)
    monkeypatch.setenv("KEYRAIL_LOG_LEVEL", "LOUD")
    assert run(recorded("http_api"), "validate_key")["statusCode"] == 500
    with pytest.raises(EventFailed, match=r"^INTERNAL$"):
        run(recorded("scheduler"))
    with pytest.raises(AuthorizerFailed):
        run(recorded("authorizer_request"), "validate_key")


# -- anything at all ------------------------------------------------------------------------------------------------

RECORDED = sorted(file.stem for file in EVENTS.glob("*.json"))
FUZZED = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, each in inner for place in [(*at, key), *_places(each, (*at, key))]]


def _broken(event: dict[str, Any], data: Any) -> dict[str, Any]:
    """One to three places hold something else, or nothing."""
    for _ in range(data.draw(some.integers(1, 3))):
        *way, last = data.draw(some.sampled_from(_places(event)))
        inner: Any = event
        for key in way:
            inner = inner[key] if isinstance(inner, dict | list) and _has(inner, key) else {}
        if _has(inner, last):
            inner[last] = data.draw(VALUES | some.text(some.characters(), max_size=6))
    return event


def _has(inner: Any, key: Any) -> bool:
    if isinstance(inner, dict):
        return key in inner
    return isinstance(inner, list) and isinstance(key, int) and key < len(inner)


def _is_clear(answer: Any) -> None:
    json.dumps(answer)
    if isinstance(answer, dict) and "statusCode" in answer:
        assert answer["statusCode"] < 500, answer
        assert isinstance(json.loads(answer["body"] or "{}"), dict)


@pytest.mark.parametrize("operation", ["validate_key", ROTATOR, "read_config"])
@pytest.mark.parametrize("shape", RECORDED)
@FUZZED
@given(data=some.data())
def test_a_broken_event_is_answered_or_refused(deployment: Deployment, operation: str, shape: str, data: Any) -> None:
    """Nothing else is ever raised than what API Gateway and Lambda are to be told so."""
    event = _broken(recorded(shape), data)
    may_be_told = "detail-type" in event or "type" in event
    with suppress(*((EventFailed, AuthorizerFailed, Unauthorized) if may_be_told else ())):
        _is_clear(run(event, operation))


@pytest.mark.parametrize("operation", list(OPERATIONS))
@FUZZED
@given(event=VALUES)
def test_anything_at_all_is_refused(deployment: Deployment, operation: str, event: Any) -> None:
    assert run(event, operation)["statusCode"] == 400


# -- what is imported -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["validate_key", "rotate", "write_config"])
def test_neither_flask_nor_functions_framework_is_on_its_import_path(function: str) -> None:
    script = f"""
import runpy, sys, json
sys.modules["flask"] = sys.modules["functions_framework"] = sys.modules["werkzeug"] = None  # an import of them fails
handler = runpy.run_path("functions/{function}/main.py")["lambda_handler"]
print(json.dumps(handler(json.load(sys.stdin), None)))
"""
    event = recorded("http_api")
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(event),
        capture_output=True,
        text=True,
        check=True,
        env={"KEYRAIL_STORE": "memory", "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"},
    )
    reply = json.loads(done.stdout.splitlines()[-1])
    assert json.loads(reply["body"])["code"] in ("MISSING", "NO_SUCH_ROUTE"), reply
    assert done.stderr == ""
