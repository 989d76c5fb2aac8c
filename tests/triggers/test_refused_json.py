"""Bodies that are not JSON as RFC 8259 means it, not an object, or not of the fields that an operation has."""

import json
from typing import Any

import pytest
from deployment import Deployment
from refusals import BODIES, TAKING_A_BODY, refused, sent_as

ISSUE = json.dumps(BODIES["issue_key"])[1:-1]  # without its braces, to be put around
ON_ALL = pytest.mark.parametrize("operation", TAKING_A_BODY)


def body_of(operation: str, more: str) -> str:
    return "{" + json.dumps(BODIES[operation])[1:-1] + ", " + more + "}"


@ON_ALL
def test_the_messages_here_are_fine_but_for_what_each_test_adds(deployment: Deployment, operation: str) -> None:
    reply = deployment.call(operation, BODIES[operation], key_id=deployment.issue().key_id)
    assert reply.status_code in (200, 201)


@ON_ALL
def test_an_unknown_field(deployment: Deployment, operation: str) -> None:
    reply = refused(deployment, operation, 422, "INVALID_FIELD", body=BODIES[operation] | {"colour": "red"})
    assert {"field": "(unknown field)", "problem": "Extra inputs are not permitted"} in reply.json["errors"]
    assert "colour" not in reply.text


@pytest.mark.parametrize("inner", ["context", "rate", "quota", "rotation"])
def test_an_unknown_field_further_in(deployment: Deployment, inner: str) -> None:
    refused(deployment, "issue_key", 422, "INVALID_FIELD", body=BODIES["issue_key"] | {inner: {"colour": "red"}})


@ON_ALL
def test_a_name_twice(deployment: Deployment, operation: str) -> None:
    name = next(iter(BODIES[operation]))
    twice = json.dumps(BODIES[operation])[:-1] + f', "{name}": {json.dumps(BODIES[operation][name])}' + "}"
    refused(deployment, operation, 400, "MALFORMED_JSON", **sent_as(twice))


@pytest.mark.parametrize(
    "nested",
    [
        '"metadata": {"a": 1, "a": 1}',
        '"metadata": {"a": [{"b": {"c": 1, "c": 2}}]}',
        '"labels": {"a": "1", "a": "2"}',
        '"context": {"cidrs": [], "cidrs": ["10.0.0.0/8"]}',
        '"metadata": {"a": 1, "\\u0061": 2}',
    ],
)
def test_a_name_twice_further_in(deployment: Deployment, nested: str) -> None:
    refused(deployment, "issue_key", 400, "MALFORMED_JSON", **sent_as("{" + ISSUE + ", " + nested + "}"))


@ON_ALL
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" + "0" * 4999, "1" * 4000])
def test_numbers_that_are_none_or_too_large(deployment: Deployment, operation: str, number: str) -> None:
    text = body_of(operation, f'"metadata": {{"n": [{number}]}}')
    refused(deployment, operation, 400, "MALFORMED_JSON", **sent_as(text))


def nested(depth: int, opening: str, closing: str) -> str:
    """`depth` counts the outer object and metadata too."""
    return body_of("issue_key", '"metadata": {"a": ' + opening * (depth - 2) + "1" + closing * (depth - 2) + "}")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"":', "}")])
class TestDepth:
    def test_sixteen_is_fine(self, deployment: Deployment, opening: str, closing: str) -> None:
        reply = deployment.call("issue_key", **sent_as(nested(16, opening, closing)))
        assert reply.status_code == 201

    @pytest.mark.parametrize("depth", [17, 500, 1000, 10_000])
    def test_more_is_refused(self, deployment: Deployment, opening: str, closing: str, depth: int) -> None:
        refused(deployment, "issue_key", 400, "MALFORMED_JSON", **sent_as(nested(depth, opening, closing)))


@pytest.mark.parametrize("text", ["[" * 60_000, '{"a":' * 12_000, "[" * 30_000 + "]" * 30_000])
def test_depth_without_an_object(deployment: Deployment, text: str) -> None:
    refused(deployment, "issue_key", 400, "MALFORMED_JSON", **sent_as(text))


@ON_ALL
@pytest.mark.parametrize(
    "body",
    [b"[]", b"[{}]", b'"text"', b"1", b"null", b"true", b" ", b"\n", b"{", b"{}{}", b"{} x", b"{'a': 1}", b'{"a": 1,}'],
)
def test_what_is_no_object(deployment: Deployment, operation: str, body: bytes) -> None:
    refused(deployment, operation, 400, "MALFORMED_JSON", **sent_as(body))


@ON_ALL
@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\x0b", b"\xc2\xa0"])
def test_a_byte_order_mark_and_other_starts(deployment: Deployment, operation: str, start: bytes) -> None:
    body = start + json.dumps(BODIES[operation]).encode()
    refused(deployment, operation, 400, "MALFORMED_JSON", **sent_as(body))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings(deployment: Deployment, encoding: str) -> None:
    body = json.dumps(BODIES["issue_key"]).encode(encoding)
    refused(deployment, "issue_key", 400, "MALFORMED_JSON", **sent_as(body))


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"\xc0\x80",  # NUL in two bytes
        b"\xed\xa0\x80",  # a lone surrogate
        b"\xf5\x80\x80\x80",  # beyond U+10FFFF
        b"\xe2\x82",  # cut
        b"\\ud800",
        b"\\udc00\\ud800",
        b"\\x41",
        b"\\u12",
        b"a\nb",
        b"a\x00b",
        b"a\x1fb",
    ],
)
def test_texts_that_are_none(deployment: Deployment, text: bytes) -> None:
    for place in (b'"name": "%s"', b'"metadata": {"a": "%s"}', b'"metadata": {"%s": 1}'):
        body = b'{"tenant": "acme", "owner": "ml-team", "name": "a", ' + place % text + b"}"
        if place.startswith(b'"name"'):
            body = b'{"tenant": "acme", "owner": "ml-team", ' + place % text + b"}"
        refused(deployment, "issue_key", 400, "MALFORMED_JSON", **sent_as(body))


def test_an_empty_body_is_an_empty_object(deployment: Deployment) -> None:
    issued = deployment.issue()
    for operation, status in [("issue_key", 422), ("validate_key", 422), ("update_key", 422), ("rotate", 200)]:
        for content_type in (None, "application/json", "text/plain"):
            deployment.wait(90_000)  # beyond the grace
            reply = deployment.call(operation, key_id=issued.key_id, **sent_as(b"", content_type))
            assert reply.status_code == status


def pairs(*wrong: Any) -> list[dict[str, Any]]:
    return list(wrong)


@pytest.mark.parametrize(
    "wrong",
    pairs(
        {"owner": 1},
        {"owner": None},
        {"owner": ["a"]},
        {"name": True},
        {"name": ""},
        {"name": "x" * 201},
        {"tenant": 7},
        {"tenant": "Acme"},
        {"tenant": "../system"},
        {"scopes": "ml:infer"},
        {"scopes": [1]},
        {"scopes": {"ml": "infer"}},
        {"scopes": ["ml:infer\n"]},
        {"scopes": ["a:b"] * 65},
        {"roles": ["Admin"]},
        {"lifetime_seconds": "60"},
        {"lifetime_seconds": 60.0},
        {"lifetime_seconds": 60.5},
        {"lifetime_seconds": True},
        {"lifetime_seconds": 0},
        {"lifetime_seconds": -1},
        {"lifetime_seconds": 10**20},
        {"labels": {"a": 1}},
        {"labels": {"A": "1"}},
        {"labels": ["a"]},
        {"labels": {f"l{n}": "x" for n in range(33)}},
        {"metadata": "text"},
        {"metadata": []},
        {"metadata": {"a": "x" * 4096}},
        {"context": {"cidrs": ["10.0.0.1/8"]}},
        {"context": {"cidrs": [10]}},
        {"context": {"cidrs": "10.0.0.0/8"}},
        {"rate": {"requests": "1", "window_seconds": 1}},
        {"rate": {"requests": 1, "window_seconds": 1.0}},
        {"rate": {"requests": True, "window_seconds": 1}},
        {"rate": {"requests": 0, "window_seconds": 1}},
        {"rate": {"requests": 1}},
        {"rotation": {"grace_seconds": 2, "max_grace_seconds": 1}},
        {"expires_at": "2030-06-01T00:00:00Z", "lifetime_seconds": 60},
    ),
    ids=lambda wrong: json.dumps(wrong)[:40],
)
def test_a_value_of_another_kind(deployment: Deployment, wrong: dict[str, Any]) -> None:
    refused(deployment, "issue_key", 422, "INVALID_FIELD", body=BODIES["issue_key"] | wrong)


@pytest.mark.parametrize("name", ["expires_at", "not_before"])
@pytest.mark.parametrize(
    "text",
    [
        "2030-06-01T00:00:00",
        "2030-06-01 00:00:00Z",
        "2030-06-01",
        "2030-06-01T00:00Z",
        "2030-06-01T00:00:00z ",
        "2030-13-01T00:00:00Z",
        "2030-02-30T00:00:00Z",
        "2030-06-01T24:00:00Z",
        "2030-06-01T00:00:60Z",
        "2030-06-01T00:00:00+25:00",
        "2030-06-01T00:00:00.1234567Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "２０３０-06-01T00:00:00Z",
        "20300601T000000Z",
        "1906502400",
        1906502400,
        1906502400.5,
        True,
        "",
    ],
)
def test_a_time_that_is_naive_or_none(deployment: Deployment, name: str, text: object) -> None:
    for operation in ("issue_key", "update_key"):
        reply = refused(deployment, operation, 422, "INVALID_FIELD", body=BODIES[operation] | {name: text})
        assert reply.json["errors"][0]["field"] == name


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2030-06-01T00:00:00Z", "2030-06-01T00:00:00Z"),
        ("2030-06-01t00:00:00z", "2030-06-01T00:00:00Z"),
        ("2030-06-01T02:00:00+02:00", "2030-06-01T00:00:00Z"),
        ("2030-06-01T00:00:00.25Z", "2030-06-01T00:00:00.250000Z"),
    ],
)
def test_a_time_with_an_offset_is_kept_in_utc(deployment: Deployment, text: str, kept: str) -> None:
    key_id = deployment.issue(expires_at=text).key_id
    assert deployment.do("get_key", key_id)["expires_at"] == kept


@pytest.mark.parametrize("character", ["\0", "\t", "\n", "\x1b", "\x7f", "\x80", "\x85", "\x9f"])
@pytest.mark.parametrize(
    ("operation", "wrong"),
    [
        ("issue_key", {"name": "a{}b"}),
        ("issue_key", {"owner": "a{}b"}),
        ("issue_key", {"tenant": "a{}b"}),
        ("issue_key", {"scopes": ["a:{}b"]}),
        ("issue_key", {"labels": {"a": "a{}b"}}),
        ("issue_key", {"labels": {"a{}b": "a"}}),
        ("issue_key", {"context": {"audiences": ["a{}b"]}}),
        ("issue_key", {"idempotency_key": "a{}b"}),
        ("update_key", {"name": "a{}b"}),
        ("update_key", {"state": "disabled", "state_reason": "a{}b"}),
        ("revoke_key", {"reason": "a{}b"}),
        ("validate_key", {"audience": "a{}b"}),
        ("validate_key", {"ip": "10.0.0.1{}"}),
        ("validate_key", {"required_scopes": "a:{}b"}),
    ],
)
def test_a_control_character_in_a_text(
    deployment: Deployment, operation: str, wrong: dict[str, Any], character: str
) -> None:
    text = json.dumps(BODIES[operation] | wrong).replace("{}", json.dumps(character)[1:-1])
    refused(deployment, operation, 422, "INVALID_FIELD", **sent_as(text))
