"""Every operation over gRPC does what it does over HTTP, on the same deployment."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from deployment import Deployment
from google.protobuf.json_format import MessageToDict
from grpc_client import GrpcClient

from keyrail.v1 import config_pb2, keys_pb2


def test_an_issued_key_is_valid_for_its_scopes(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(scopes=["ml:infer"], labels={"team": "vision"}, metadata={"cost": {"centre": 7}})
    verdict = grpc_client.validate(made.key, required_scopes="ml:infer")
    assert (verdict.valid, verdict.code, verdict.key_id) == (True, "VALID", made.record.key_id)
    assert (verdict.tenant, verdict.principal, list(verdict.scopes)) == ("acme", "ml-team", ["ml:infer"])
    assert dict(verdict.labels) == {"team": "vision"}
    assert MessageToDict(verdict.metadata) == {"cost": {"centre": 7}}
    assert verdict.expires_at.ToDatetime(UTC) == made.record.expires_at.ToDatetime(UTC)


def test_a_verdict_is_the_same_over_http(grpc_client: GrpcClient, deployment: Deployment) -> None:
    made = grpc_client.issue(scopes=["ml:infer"], metadata={"n": 1.5, "none": None, "list": [1, "x", True]})
    over_http = deployment.validate(made.key)
    over_grpc = MessageToDict(grpc_client.validate(made.key), preserving_proto_field_name=True)
    ends = [datetime.fromisoformat(told.pop("expires_at")) for told in (over_http, over_grpc)]
    assert ends[0] == ends[1]
    for told in (over_http, over_grpc):
        for name in [name for name, value in told.items() if value in ([], {})]:
            del told[name]  # protobuf has no empty list beside none
    assert over_grpc == over_http


def test_a_no_is_a_response_and_no_error(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(scopes=["ml:infer"])
    assert grpc_client.validate(made.key, required_scopes="ml:train").code == "INSUFFICIENT_SCOPE"
    assert grpc_client.validate("").code == "MISSING"
    assert grpc_client.validate("nonsense").code == "MALFORMED"
    assert grpc_client.validate(made.key, tenant="other").code == "NOT_FOUND"
    assert not grpc_client.validate(made.key, tenant="other").HasField("key_id")


def test_a_bound_key_is_valid_only_where_it_may_be_used(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(context={"cidrs": ["10.0.0.0/8"], "audiences": ["api"]})
    assert grpc_client.validate(made.key, ip="10.1.2.3", audience="api").valid
    assert grpc_client.validate(made.key, ip="192.0.2.1", audience="api").code == "CONTEXT_DENIED"


def test_a_used_up_limit_says_when_to_come_back(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(rate={"requests": 1, "window_seconds": 60})
    assert grpc_client.validate(made.key).valid
    verdict = grpc_client.validate(made.key)
    assert (verdict.code, 0 < verdict.retry_after_seconds <= 60) == ("RATE_LIMITED", True)


def test_a_batch_is_answered_in_its_order(grpc_client: GrpcClient) -> None:
    keys = [grpc_client.issue(name=f"key {n}").key for n in range(3)]
    asked = keys_pb2.BatchValidateRequest(batch=[{"key": key} for key in [*keys, "nonsense", ""]])
    method = "/keyrail.v1.KeyService/BatchValidate"
    answer, _ = grpc_client.send(method, asked, keys_pb2.BatchValidateResponse)
    assert [each.code for each in answer.results] == ["VALID"] * 3 + ["MALFORMED", "MISSING"]
    assert [each.name for each in answer.results[:3]] == ["key 0", "key 1", "key 2"]
    assert (answer.valid, answer.code) == (False, "MALFORMED")


def test_a_rotated_key_lives_on_in_its_grace_and_says_until_when(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue()
    rotated = grpc_client.call("rotate", key_id=made.record.key_id, grace_seconds=600)
    assert (rotated.record.key_id, rotated.step) == (made.record.key_id, "promoted")
    old, new = grpc_client.validate(made.key), grpc_client.validate(rotated.key)
    assert (old.valid, old.generation, new.valid, new.generation) == (True, 1, True, 2)
    assert old.HasField("sunset_at")
    assert not new.HasField("sunset_at")


def test_a_caller_with_a_retiring_secret_is_told_so(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(scopes=["keys:validate"])
    grpc_client.call("rotate", key_id=made.record.key_id, grace_seconds=600)
    asked, response = keys_pb2.ValidateKeyRequest(key="x"), keys_pb2.ValidateKeyResponse
    _, told = grpc_client.send("/keyrail.v1.KeyService/ValidateKey", asked, response, by=made.key)
    assert told["sunset"].endswith("GMT")
    assert told["deprecation"].startswith("@")


def test_an_emergency_ends_the_old_secret_at_once(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue()
    grpc_client.call("rotate", key_id=made.record.key_id, grace_seconds=0)
    assert grpc_client.validate(made.key).code == "ROTATED_OUT"


def test_a_revoked_key_stays_revoked_with_its_first_reason(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue()
    first = grpc_client.call("revoke_key", key_id=made.record.key_id, reason="leaked")
    again = grpc_client.call("revoke_key", key_id=made.record.key_id, reason="once more")
    assert (first.state, first.reason, again.reason) == ("revoked", "leaked", "leaked")
    assert grpc_client.validate(made.key).code == "REVOKED"


def test_an_update_changes_what_is_given_and_nothing_else(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(scopes=["ml:infer"], labels={"a": "b"}, rate={"requests": 5, "window_seconds": 60})
    changed = grpc_client.call("update_key", key_id=made.record.key_id, name="renamed").record
    assert (changed.name, list(changed.scopes), dict(changed.labels)) == ("renamed", ["ml:infer"], {"a": "b"})
    assert changed.rate.requests == 5


def test_a_mask_empties_lists_and_takes_away(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(scopes=["ml:infer"], labels={"a": "b"}, rate={"requests": 5, "window_seconds": 60})
    mask = {"paths": ["scopes", "labels", "rate"]}
    changed = grpc_client.call("update_key", key_id=made.record.key_id, update_mask=mask).record
    assert (list(changed.scopes), dict(changed.labels), changed.HasField("rate")) == ([], {}, False)


def test_an_update_with_an_old_etag_changes_nothing(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue()
    grpc_client.call("update_key", key_id=made.record.key_id, name="first", if_match=made.record.etag)
    refused = grpc_client.refused("update_key", key_id=made.record.key_id, name="late", if_match=made.record.etag)
    assert (refused.status.name, refused.code) == ("FAILED_PRECONDITION", "ETAG_MISMATCH")
    assert grpc_client.call("get_key", key_id=made.record.key_id).record.name == "first"


def test_pages_hold_every_key_once(grpc_client: GrpcClient) -> None:
    made = {grpc_client.issue().record.key_id for _ in range(5)}
    first = grpc_client.call("list_keys", tenant="acme", limit=3)
    second = grpc_client.call("list_keys", tenant="acme", limit=3, cursor=first.next_cursor)
    assert not second.HasField("next_cursor")
    assert [each.key_id for each in [*first.keys, *second.keys]] == sorted(made)


def test_an_idempotency_key_makes_one_key(grpc_client: GrpcClient) -> None:
    first, again = (grpc_client.issue(idempotency_key="order-1") for _ in range(2))
    assert (first.record.key_id, first.replayed) == (again.record.key_id, False)
    assert (again.replayed, again.HasField("key")) == (True, False)


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text", [1, [2]], {"a": {"b": None}}, 2**53, {}, []])
def test_a_config_comes_back_as_it_was_written(grpc_client: GrpcClient, deployment: Deployment, value: Any) -> None:
    request = {"name": "models/openai", "tenant": "acme", "value": config_value(value)}
    written = grpc_client.call("write_config", **request)
    found = grpc_client.call("read_config", name="models/openai", tenant="acme")
    assert (found.version, found.etag) == (1, written.etag)
    assert MessageToDict(found.value) == value
    over_http = deployment.do("read_config", "", query={"tenant": "acme"})
    assert json.dumps(over_http["value"]) == json.dumps(value)


def config_value(value: Any) -> Any:
    holder = config_pb2.WriteConfigRequest()
    if value is None:
        holder.value.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, dict):
        holder.value.struct_value.SetInParent()
        holder.value.struct_value.update(value)
    elif isinstance(value, list):
        holder.value.list_value.SetInParent()
        holder.value.list_value.extend(value)
    elif isinstance(value, bool):
        holder.value.bool_value = value
    elif isinstance(value, str):
        holder.value.string_value = value
    else:
        holder.value.number_value = value
    return holder.value


def test_a_configs_history_and_old_versions(grpc_client: GrpcClient) -> None:
    name = {"name": "models/openai", "tenant": "acme"}
    first = grpc_client.call("write_config", **name, value=config_value("one"))
    second = grpc_client.call("write_config", **name, value=config_value("two"), if_match=first.etag)
    grpc_client.call("write_config", **name, restore_version=1, if_match=second.etag)
    history = grpc_client.call("read_config", **name, history=True)
    assert not history.HasField("value")
    assert sorted((each.version, each.how) for each in history.versions) == [
        (1, "written"),
        (2, "written"),
        (3, "restored"),
    ]
    gone = grpc_client.call("write_config", **name, destroy_versions={"numbers": [1]})
    assert list(gone.destroyed_versions) == [1]
    grpc_client.call("write_config", **name, destroy_versions={"all": True})
    assert grpc_client.refused("read_config", **name).code == "CONFIG_NOT_FOUND"


def test_a_configs_rotation_is_set_shown_and_taken_away(grpc_client: GrpcClient) -> None:
    name = {"name": "models/openai", "tenant": "acme"}
    rotation = {"kind": "generated", "interval_seconds": 3600, "settings": {"field": "password", "length": 32}}
    value = config_value({"password": "first"})
    written = grpc_client.call("write_config", **name, value=value, rotation=rotation)
    shown = grpc_client.call("read_config", **name).rotation
    assert (shown.kind, shown.interval_seconds) == ("generated", 3600)
    assert MessageToDict(shown.settings) == {"field": "password", "length": 32, "alphabet": "base62"}
    mask = {"paths": ["rotation"]}
    grpc_client.call("write_config", **name, value=value, if_match=written.etag, update_mask=mask)
    assert not grpc_client.call("read_config", **name).HasField("rotation")


def test_a_tick_and_a_sweep_tell_what_they_did(grpc_client: GrpcClient) -> None:
    grpc_client.issue(rotation={"sink": "vault:acme/svc/key", "interval_seconds": 90_000, "grace_seconds": 60})
    tick = grpc_client.call("rotate_due", budget_seconds=5)
    assert (tick.rotated, tick.failed, list(tick.failures)) == (1, 0, [])
    swept = grpc_client.call("sweep", budget_seconds=5)
    assert (swept.failed, dict(swept.by_pepper_version)) == (0, {"1": swept.looked_at})
