"""Validation by hand asks and answers what its models do, and a process that only validates imports none of them."""

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from builders import NOW, generation, key_text, record, tombstone
from hypothesis import given
from hypothesis import strategies as some

from keyrail.domain.decisions import Code, Decision
from keyrail.domain.errors import InvalidArgument
from keyrail.domain.records import StoredKey
from keyrail.judging import MAX_BATCH, MAX_KEY_CHARS, Judged, Questions
from keyrail.operations.validate_key import OPERATION, ValidateReply, ValidateRequest, Verdict, questions_of
from keyrail.operations.validate_key import _verdict as modelled_verdict
from keyrail.triggers.http_validate import HttpValidation
from keyrail.triggers.questions import JUDGING, questions_of_payload
from keyrail.triggers.request_models import as_request

TEXTS = {
    "key": ["", "k", key_text(), "k" * MAX_KEY_CHARS, "k" * (MAX_KEY_CHARS + 1)],
    "required_scopes": ["ml:infer", "ml:infer and (data:read or data:admin)", "", "ml:", "a:b " * 400, " a:b", "(" * 9],
    "ip": ["192.0.2.7", "2001:DB8::1", "::ffff:192.0.2.7", "fe80::1%eth0", "", "1.2.3", "1" * 65, "192.0.2.7\n"],
    "audience": ["inference", "a" * 128, "a" * 129, "a b", "", "\ufeff", "\u2028", "é", "a\n", key_text()],
    "tenant": ["acme", "a" * 63, "a" * 64, "Acme", "", "acme\n", "-a"],
}
ODD = [None, 1, True, 1.5, [], {}, ["k"], {"a": "b"}]


def fields(*names: str) -> some.SearchStrategy[dict[str, Any]]:
    values = {name: some.sampled_from(TEXTS[name]) | some.text(max_size=8) | some.sampled_from(ODD) for name in names}
    told = some.fixed_dictionaries({}, optional={**values, "unknown": some.just("x")})
    usual = some.fixed_dictionaries({name: some.sampled_from(TEXTS[name][:2]) for name in names})
    return usual | told | some.builds(lambda one, other: {**one, **other}, usual, told)


ENTRY = fields("key", "required_scopes", "ip", "audience")
BATCHES = some.builds(
    lambda entries, others: {**others, "batch": entries},
    some.lists(ENTRY | some.sampled_from(ODD), max_size=3) | some.sampled_from(ODD),
    some.just({}) | fields("tenant") | fields("key", "tenant", "ip"),
)


def asked_by(ask: Any, payload: dict[str, Any]) -> Questions | tuple[Any, ...]:
    try:
        told: Questions = ask(payload)
    except InvalidArgument as error:
        return (error.code, error.public, error.fields)
    return told


def asked_by_the_model(payload: dict[str, Any]) -> Questions:
    request: Any = as_request(ValidateRequest, payload)
    return questions_of(request)


@given(fields("key", "required_scopes", "ip", "audience", "tenant") | BATCHES)
def test_it_asks_what_the_model_asks_and_refuses_what_that_refuses(payload: dict[str, Any]) -> None:
    assert asked_by(questions_of_payload, payload) == asked_by(asked_by_the_model, payload)


@pytest.mark.parametrize("name", ["audience", "tenant", "required_scopes", "ip"])
def test_no_letter_is_read_otherwise_than_by_the_model(name: str) -> None:
    """The model's patterns are Rust's, ours Python's."""
    for code in (*range(0x3100), 0xFE0F, 0xFEFF, 0xFFFE, 0x10FFFF):
        payload = {"key": "k", name: f"a{chr(code)}"}
        assert asked_by(questions_of_payload, payload) == asked_by(asked_by_the_model, payload), hex(code)


@pytest.mark.parametrize("count", [0, 1, MAX_BATCH, MAX_BATCH + 1])
def test_as_many_at_a_time_as_the_model_takes(count: int) -> None:
    payload = {"batch": [{"key": "k"}] * count}
    assert asked_by(questions_of_payload, payload) == asked_by(asked_by_the_model, payload)


INSTANTS = some.integers(1, 2**46).map(lambda ms: NOW + timedelta(microseconds=ms))
JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**53), 2**53) | some.floats(-1e300, 1e300) | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=8,
)


@some.composite
def decisions(draw: some.DrawFn) -> Decision:
    code = draw(some.sampled_from(Code))
    seconds = draw(some.none() | some.integers(1, 100))
    if draw(some.booleans()):
        return Decision(code, "reason", retry_after_seconds=seconds)
    old = generation(1, draw(some.sampled_from(["current", "retiring"])), retire_at=draw(INSTANTS))
    kept = record(
        old,
        generation(2, activated_at=draw(some.none() | INSTANTS)),
        expires_at=draw(some.none() | INSTANTS),
        labels=draw(some.dictionaries(some.text(max_size=4), some.text(max_size=4), max_size=3)),
        metadata=draw(some.dictionaries(some.text(max_size=4), JSON, max_size=3)),
    )
    return Decision(code, "reason", kept.key_id, StoredKey(kept, 1), old, ("a:b", "*"), seconds)


@given(some.lists(decisions(), min_size=1, max_size=3), some.booleans())
def test_it_answers_what_the_model_answers(asked: list[Decision], is_batch: bool) -> None:
    refused = [decision.code for decision in asked if not decision]
    judged = Judged(asked, is_batch, refused[0] if refused else Code.VALID)
    if is_batch:
        results = [Verdict(**modelled_verdict(decision)) for decision in asked]
        modelled = ValidateReply(valid=judged.valid, code=judged.code, results=results)
    else:
        modelled = ValidateReply(**modelled_verdict(asked[0]))
    body = json.loads(HttpValidation().body_of(judged))
    assert body == json.loads(modelled.model_dump_json(exclude_none=True))


def test_a_key_that_was_revoked_is_answered_likewise() -> None:
    decision = Decision(Code.REVOKED, "revoked", "id", StoredKey(record(), 1, tombstone()), generation(), ("a:b",))
    judged = Judged([decision], is_batch=False, code=Code.REVOKED)
    told = json.loads(HttpValidation().body_of(judged))
    assert (told["valid"], told["code"]) == (False, "REVOKED")
    assert "sunset_at" not in told


def test_it_is_offered_where_the_operation_is() -> None:
    for name in JUDGING.__dataclass_fields__:
        if name != "run":
            assert getattr(JUDGING, name) == getattr(OPERATION, name), name


PROGRAM = """
import json, sys
from keyrail.triggers.aws_lambda import lambda_function
from keyrail.triggers.served import Served
served = Served("validate_key")
served.load()
http = {"method": "POST", "path": "/v1/keys/validate", "sourceIp": "192.0.2.7"}
asked = {"key": "x", "required_scopes": "ml:infer and data:read", "audience": "inference", "tenant": "acme"}
event = {"version": "2.0", "rawPath": http["path"], "rawQueryString": "", "requestContext": {"http": http},
         "headers": {"content-type": "application/json"}, "body": json.dumps(asked)}
reply = lambda_function(served)(event, None)
found = {name.partition(".")[0] for name in sys.modules}
heavy = {"pydantic", "pydantic_core", "hvac", "flask", "boto3"}
print(json.dumps([reply["statusCode"], reply["body"], sorted(found & heavy)]))
"""


def test_a_process_that_only_validates_starts_without_models() -> None:
    env = {"KEYRAIL_STORE": "memory", "KEYRAIL_VALIDATE_OPEN": "true", "KEYRAIL_METRICS": "none"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    status, body, imported = json.loads(done.stdout.splitlines()[-1])
    assert (status, json.loads(body)) == (200, {"valid": False, "code": "MALFORMED"})
    assert imported == []


def test_the_times_of_a_retiring_key_are_told() -> None:
    old = generation(1, "retiring", retire_at=NOW + timedelta(microseconds=1500))
    kept = record(old, generation(2))
    judged = Judged([Decision(Code.VALID, "valid", kept.key_id, StoredKey(kept, 1), old)], False, Code.VALID)
    told = json.loads(HttpValidation().body_of(judged))
    assert (told["deprecated_at"], told["sunset_at"]) == ("2030-01-31T12:00:00Z", "2030-01-31T12:00:00.001500Z")
