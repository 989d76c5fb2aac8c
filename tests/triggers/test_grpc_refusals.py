"""What is refused over gRPC: the canonical status, and the code that HTTP has."""

import dataclasses
import struct
from typing import Any

import grpc
import pytest
from deployment import ADMIN, UNKNOWN_ID, Deployment, unavailable
from google.protobuf import struct_pb2
from grpc_client import GrpcClient, refusal_of, serving

from keyrail.domain.key_format import ANY_KEY
from keyrail.v1 import keys_pb2

VALIDATE = "/keyrail.v1.KeyService/ValidateKey"


def test_a_caller_without_a_key_is_unauthenticated(grpc_client: GrpcClient) -> None:
    refused = grpc_client.refused("get_key", by=None, key_id=UNKNOWN_ID)
    assert (refused.status, refused.code) == (grpc.StatusCode.UNAUTHENTICATED, "MISSING")


def test_a_key_may_come_in_either_header_but_not_two_keys(grpc_client: GrpcClient, deployment: Deployment) -> None:
    made = grpc_client.issue(scopes=["keys:validate"])
    alone = [("x-api-key", deployment.admin)]
    assert grpc_client.call("validate_key", by=None, sent=alone, key="x").code == "MALFORMED"
    differ = grpc_client.refused("validate_key", sent=[("x-api-key", made.key)], key="x")
    assert (differ.status, differ.code) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")
    twice = grpc_client.refused("validate_key", sent=[("authorization", f"Bearer {made.key}")], key="x")
    assert (twice.status, twice.code) == (grpc.StatusCode.UNAUTHENTICATED, "MALFORMED")


@pytest.mark.parametrize("authorization", ["Basic abc", "Bearer", "Bearer a b", "nonsense"])
def test_an_unreadable_credential_is_malformed(grpc_client: GrpcClient, authorization: str) -> None:
    sent = [("authorization", authorization)]
    refused = grpc_client.refused("validate_key", by=None, sent=sent, key="x")
    assert (refused.status, refused.code) == (grpc.StatusCode.UNAUTHENTICATED, "MALFORMED")


def test_the_codes_are_those_of_http(grpc_client: GrpcClient, deployment: Deployment) -> None:
    made, poor = deployment.issue(), deployment.issue(scopes=["keys:read"])
    dead = deployment.issue()
    deployment.do("revoke_key", dead.key_id, {})
    asked: list[tuple[str, str, dict[str, Any], str]] = [
        ("get_key", UNKNOWN_ID, {}, ADMIN),
        ("get_key", made.key_id, {}, "nonsense"),
        ("get_key", made.key_id, {}, dead.key),
        ("revoke_key", made.key_id, {}, poor.key),
        ("update_key", made.key_id, {"name": "x", "if_match": '"99"'}, ADMIN),
        ("update_key", made.key_id, {"state": "revoked"}, ADMIN),
        ("update_key", made.key_id, {}, ADMIN),
        ("rotate", dead.key_id, {}, ADMIN),
        ("rotate", made.key_id, {"grace_seconds": -1}, ADMIN),
    ]
    for operation, key_id, fields, by in asked:
        over_http = deployment.call(operation, fields, key_id=key_id, by=by)
        over_grpc = grpc_client.refused(operation, by=by, key_id=key_id, **fields)
        assert over_http.json is not None
        assert over_grpc.code == over_http.json["code"], (operation, fields)
        assert over_grpc.text == over_http.json["detail"]


def test_wrong_fields_are_named_without_their_values(grpc_client: GrpcClient) -> None:
    refused = grpc_client.refused("issue_key", owner="has space", name="n", scopes=["no-scope"])
    assert (refused.status, refused.code) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert set(refused.fields) == {"owner", "scopes.0"}
    assert "has space" not in str(refused)


def test_a_lost_store_is_unavailable_with_a_time_to_try_again(
    grpc_client: GrpcClient, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = grpc_client.issue()
    monkeypatch.setattr(type(deployment.services.keys), "find", unavailable)
    refused = grpc_client.refused("get_key", key_id=made.record.key_id)
    assert (refused.status, refused.code, refused.retry_seconds) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", 1)


def test_a_used_up_caller_is_told_when_to_come_back(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(scopes=["keys:validate"], rate={"requests": 1, "window_seconds": 60})
    assert grpc_client.call("validate_key", by=made.key, key="x").code == "MALFORMED"
    refused = grpc_client.refused("validate_key", by=made.key, key="x")
    assert (refused.status, refused.code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert refused.retry_seconds is not None
    assert 0 < refused.retry_seconds <= 60


def test_a_defect_tells_nothing_but_its_correlation_id(
    grpc_client: GrpcClient, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, output: Any
) -> None:
    monkeypatch.setattr(type(deployment.services.keys), "list_ids", lambda *_: 1 // 0)
    refused = grpc_client.refused("list_keys", tenant="acme", sent=[("x-correlation-id", "a-defect-of-ours")])
    assert (refused.status, refused.code, refused.correlation_id) == (
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        "a-defect-of-ours",
    )
    assert output.lines("request")[-1]["correlation_id"] == "a-defect-of-ours"


def sent_as_bytes(grpc_client: GrpcClient, data: bytes, method: str = VALIDATE) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        grpc_client.send(method, data, keys_pb2.ValidateKeyResponse)
    return refusal_of(caught.value)


def test_bytes_that_are_no_message_are_refused(grpc_client: GrpcClient) -> None:
    refused = sent_as_bytes(grpc_client, b"\xff\xff\xff")
    assert (refused.status, refused.code) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


def test_text_that_is_no_utf8_is_refused(grpc_client: GrpcClient) -> None:
    refused = sent_as_bytes(grpc_client, b"\x0a\x02\xff\xfe")
    assert (refused.status, refused.code) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    ("method", "data"),
    [
        (VALIDATE, b"\x0a\x01x" + b"\xfa\x3e\x01x"),  # field 1007
        ("/keyrail.v1.KeyService/IssueKey", b"\x0a\x01o\x12\x01n\x5a\x05\xfa\x3e\x02xx"),  # within `context`
        ("/keyrail.v1.KeyService/BatchValidate", b"\x0a\x07\x0a\x01x\xfa\x3e\x01x"),  # within an entry
    ],
)
def test_a_field_that_this_server_does_not_know_is_refused(grpc_client: GrpcClient, method: str, data: bytes) -> None:
    refused = sent_as_bytes(grpc_client, data, method)
    assert (refused.status, refused.code) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refused.fields == {"(unknown field)": "is not known to this server"}


def test_what_is_wrong_with_a_message_is_told_to_callers_only(grpc_client: GrpcClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        grpc_client.send(VALIDATE, b"\xff", keys_pb2.ValidateKeyResponse, by=None)
    assert refusal_of(caught.value).code == "MISSING"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e301])
def test_a_number_that_json_would_refuse_is_refused(grpc_client: GrpcClient, number: float) -> None:
    value = struct_pb2.Value(number_value=number)
    refused = grpc_client.refused("write_config", name="models/openai", tenant="acme", value=value)
    assert (refused.status, refused.code) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")
    assert struct.pack("d", number) not in str(refused).encode()


def test_a_value_that_nests_too_deep_is_refused(grpc_client: GrpcClient) -> None:
    value = struct_pb2.Value()
    inner = value
    for _ in range(17):
        inner = inner.list_value.values.add()
    refused = grpc_client.refused("write_config", name="models/openai", tenant="acme", value=value)
    assert (refused.status, refused.code) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


def test_a_mask_names_fields_of_its_message_only(grpc_client: GrpcClient) -> None:
    for path in ("nonsense", "update_mask", "context.cidrs"):
        refused = grpc_client.refused("update_key", key_id=UNKNOWN_ID, update_mask={"paths": [path]})
        assert (refused.code, set(refused.fields)) == ("INVALID_FIELD", {"update_mask"})


def test_what_only_responses_tell_is_no_setting(grpc_client: GrpcClient) -> None:
    rotation = {"kind": "generated", "interval_seconds": 3600, "step": "staged"}
    value = struct_pb2.Value(string_value="x")
    refused = grpc_client.refused("write_config", name="a/b", tenant="acme", value=value, rotation=rotation)
    assert set(refused.fields) == {"rotation.step"}


def test_all_versions_and_some_of_them_are_not_asked_for_together(grpc_client: GrpcClient) -> None:
    asked = {"numbers": [1], "all": True}
    refused = grpc_client.refused("write_config", name="a/b", tenant="acme", destroy_versions=asked)
    assert set(refused.fields) == {"destroy_versions"}


def test_a_timestamp_beyond_all_calendars_is_refused(grpc_client: GrpcClient) -> None:
    refused = grpc_client.refused("issue_key", owner="o", name="n", tenant="acme", expires_at={"seconds": 2**60})
    assert (refused.status, refused.code) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


def test_operations_that_are_not_served_are_unimplemented(deployment: Deployment) -> None:
    with serving(deployment, KEYRAIL_GRPC_OPERATIONS="validate_key") as client:
        assert client.validate("nonsense").code == "MALFORMED"
        assert client.refused("issue_key", owner="o").status is grpc.StatusCode.UNIMPLEMENTED


def test_validation_open_to_all_asks_no_key(deployment: Deployment) -> None:
    services = dataclasses.replace(deployment.services, open_operations=frozenset({"validate_key"}))
    opened = Deployment(services, deployment.clock, deployment.client_of)
    with serving(opened) as client:
        assert client.call("validate_key", by=None, key="nonsense").code == "MALFORMED"
        assert client.refused("get_key", by=None, key_id=UNKNOWN_ID).code == "MISSING"


def test_no_line_of_the_log_holds_a_key(grpc_client: GrpcClient, output: Any) -> None:
    made = grpc_client.issue()
    grpc_client.validate(made.key)
    sent_as_bytes(grpc_client, b"\xff" + made.key.encode())
    grpc_client.refused("issue_key", owner=made.key, name=made.key, tenant="acme")
    grpc_client.refused("get_key", key_id=made.key)
    assert len(output.lines("request")) == 5
    assert not ANY_KEY.search(output.text)
