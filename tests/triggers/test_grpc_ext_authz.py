"""Envoy's question about a request, asked as Envoy asks it: the status for the client, the headers for the service."""

import json
from typing import Any

import grpc
import pytest
from deployment import ADMIN, Deployment, unavailable
from google.rpc import code_pb2
from grpc_client import GrpcClient, serving

from keyrail.domain.key_format import ANY_KEY
from keyrail.envoy import auth_pb2

CHECK = "/envoy.service.auth.v3.Authorization/Check"


def check(
    client: GrpcClient, headers: dict[str, str], by: str | None = ADMIN, ip: str = "192.0.2.7", **configured: str
) -> Any:
    request = auth_pb2.CheckRequest()
    request.attributes.request.http.headers.update(headers)
    request.attributes.context_extensions.update(configured)
    request.attributes.source.address.socket_address.address = ip
    answer, _ = client.send(CHECK, request, auth_pb2.CheckResponse, by=by)
    return answer


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def told(options: Any) -> dict[str, str]:
    return {option.header.key: option.header.value for option in options}


def denied(answer: Any) -> tuple[int, str]:
    """The status for the client, and the code in the body."""
    assert answer.status.code == code_pb2.PERMISSION_DENIED
    body = json.loads(answer.denied_response.body)
    headers = told(answer.denied_response.headers)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Correlation-ID"] == body["correlation_id"]
    assert body["status"] == answer.denied_response.status.code
    return answer.denied_response.status.code, body["code"]


def test_a_good_key_passes_and_the_service_is_told_whose_it_is(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(scopes=["ml:infer", "data:read"], owner="größe/100%")
    answer = check(grpc_client, bearer(made.key), required_scopes="ml:infer and data:read")
    assert answer.status.code == code_pb2.OK
    assert told(answer.ok_response.headers) == {
        "x-keyrail-key-id": made.record.key_id,
        "x-keyrail-generation": "1",
        "x-keyrail-tenant": "acme",
        "x-keyrail-principal": "gr%C3%B6%C3%9Fe/100%25",
        "x-keyrail-scopes": "ml:infer data:read",
    }
    assert list(answer.ok_response.headers_to_remove) == []


def test_identity_headers_of_the_client_are_taken_away_in_every_spelling(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue()
    forged = {"x-keyrail-tenant": "evil", "x_keyrail_tenant": "evil", "x-keyrail_admin": "1", "x_keyrail-key-id": "1"}
    answer = check(grpc_client, bearer(made.key) | forged | {"x-keyrailish": "kept", "accept": "kept"})
    overwritten = answer.ok_response.headers
    assert told(overwritten)["x-keyrail-tenant"] == "acme"
    assert {option.append_action for option in overwritten} == {2}  # OVERWRITE_IF_EXISTS_OR_ADD
    assert sorted(answer.ok_response.headers_to_remove) == ["x-keyrail_admin", "x_keyrail-key-id", "x_keyrail_tenant"]


def test_the_key_is_taken_away_where_the_gateway_asks_for_it(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue()
    headers = {"x-api-key": made.key, "x_api_key": "other"}
    assert not check(grpc_client, headers).ok_response.headers_to_remove
    answer = check(grpc_client, headers, remove_key="true")
    assert sorted(answer.ok_response.headers_to_remove) == ["x-api-key", "x_api_key"]


def test_required_scopes_are_the_gateways_never_the_clients(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue(scopes=["ml:infer"])
    forged = bearer(made.key) | {"required_scopes": "ml:infer", "x-required-scopes": "ml:infer"}
    answer = check(grpc_client, forged, required_scopes="ml:train")
    assert denied(answer) == (403, "INSUFFICIENT_SCOPE")
    assert 'error="insufficient_scope"' in told(answer.denied_response.headers)["WWW-Authenticate"]


def test_the_status_of_each_refusal(grpc_client: GrpcClient) -> None:
    made, revoked, off = (grpc_client.issue() for _ in range(3))
    grpc_client.call("revoke_key", key_id=revoked.record.key_id)
    grpc_client.call("update_key", key_id=off.record.key_id, state="disabled")
    bound = grpc_client.issue(context={"cidrs": ["10.0.0.0/8"], "audiences": ["api"]})
    short = grpc_client.issue(lifetime_seconds=30)
    rotated = grpc_client.issue()
    grpc_client.call("rotate", key_id=rotated.record.key_id, grace_seconds=0)
    grpc_client.deployment.wait(60)
    assert denied(check(grpc_client, {})) == (401, "MISSING")
    assert denied(check(grpc_client, bearer("nonsense"))) == (401, "MALFORMED")
    assert denied(check(grpc_client, bearer("x" * 10_000))) == (401, "MALFORMED")
    assert denied(check(grpc_client, {"authorization": "Basic dTpw"})) == (401, "MALFORMED")
    assert denied(check(grpc_client, bearer(made.key) | {"x-api-key": off.key})) == (401, "MALFORMED")
    assert denied(check(grpc_client, bearer(revoked.key))) == (401, "REVOKED")
    assert denied(check(grpc_client, bearer(off.key))) == (401, "DISABLED")
    assert denied(check(grpc_client, bearer(short.key))) == (401, "EXPIRED")
    assert denied(check(grpc_client, bearer(rotated.key))) == (401, "ROTATED_OUT")
    assert denied(check(grpc_client, bearer(made.key), tenant="other")) == (401, "NOT_FOUND")
    assert denied(check(grpc_client, bearer(bound.key), audience="api")) == (403, "CONTEXT_DENIED")
    assert check(grpc_client, bearer(bound.key), audience="api", ip="10.1.1.1").status.code == code_pb2.OK


def test_a_401_says_how_to_authenticate(grpc_client: GrpcClient) -> None:
    missing, refused = check(grpc_client, {}), check(grpc_client, bearer("nonsense"))
    assert told(missing.denied_response.headers)["WWW-Authenticate"] == 'Bearer realm="keyrail"'
    assert 'error="invalid_token"' in told(refused.denied_response.headers)["WWW-Authenticate"]


@pytest.mark.parametrize(("limit", "code"), [("rate", "RATE_LIMITED"), ("quota", "QUOTA_EXCEEDED")])
def test_a_used_up_key_gets_429_and_when_to_come_back(grpc_client: GrpcClient, limit: str, code: str) -> None:
    made = grpc_client.issue(**{limit: {"requests": 1, "window_seconds": 600}})
    assert check(grpc_client, bearer(made.key)).status.code == code_pb2.OK
    answer = check(grpc_client, bearer(made.key))
    assert denied(answer) == (429, code)
    assert 0 < int(told(answer.denied_response.headers)["Retry-After"]) <= 600


def test_a_retiring_key_passes_and_its_holder_is_told(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue()
    grpc_client.call("rotate", key_id=made.record.key_id, grace_seconds=600)
    answer = check(grpc_client, bearer(made.key))
    assert answer.status.code == code_pb2.OK
    assert set(told(answer.ok_response.response_headers_to_add)) == {"Deprecation", "Sunset"}


def test_a_lost_store_is_503_and_never_401(
    grpc_client: GrpcClient, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = grpc_client.issue()
    grpc_client.validate("x")  # so that the gateway's own key is in memory
    monkeypatch.setattr(type(deployment.services.keys), "find", unavailable)
    answer = check(grpc_client, bearer(made.key))
    assert denied(answer) == (503, "UNAVAILABLE")
    assert told(answer.denied_response.headers)["Retry-After"] == "1"


@pytest.mark.parametrize("configured", [{"required_scopes": "and and"}, {"tenant": "NOT A TENANT"}, {"typo": "x"}])
def test_a_gateway_whose_configuration_is_wrong_lets_nothing_pass(
    grpc_client: GrpcClient, configured: dict[str, str]
) -> None:
    made = grpc_client.issue(scopes=["*"])
    assert denied(check(grpc_client, bearer(made.key), **configured)) == (503, "UNAVAILABLE")


def test_a_gateway_without_the_right_to_validate_lets_nothing_pass(grpc_client: GrpcClient, output: Any) -> None:
    made, poor = grpc_client.issue(), grpc_client.issue(scopes=["ml:infer"])
    for by in (None, "nonsense", poor.key):
        assert denied(check(grpc_client, bearer(made.key), by=by)) == (503, "UNAVAILABLE")
    assert [line["code"] for line in output.lines("gateway")] == ["MISSING", "MALFORMED", "INSUFFICIENT_SCOPE"]


def test_a_gateway_of_one_tenant_knows_no_keys_of_another(grpc_client: GrpcClient) -> None:
    made = grpc_client.issue()
    gateway = grpc_client.issue(tenant="other", scopes=["keys:validate"])
    assert denied(check(grpc_client, bearer(made.key), by=gateway.key)) == (401, "NOT_FOUND")


def test_the_clients_correlation_id_is_kept_and_no_key_is_logged(grpc_client: GrpcClient, output: Any) -> None:
    made = grpc_client.issue()
    output.clear()
    answer = check(grpc_client, {"x-api-key": made.key[:-1] + "!", "x-correlation-id": "from-the-client"})
    assert told(answer.denied_response.headers)["X-Correlation-ID"] == "from-the-client"
    assert output.lines("request")[0]["correlation_id"] == "from-the-client"
    assert not ANY_KEY.search(output.text)


def test_a_gateway_gets_the_same_decision_as_validate(grpc_client: GrpcClient, deployment: Deployment) -> None:
    """Key state by request: the gateway's status is that of validate's code."""
    keys = [grpc_client.issue(scopes=scopes).key for scopes in ([], ["ml:infer"], ["ml:*"], ["*"])]
    off = grpc_client.issue(scopes=["ml:infer"])
    grpc_client.call("update_key", key_id=off.record.key_id, state="disabled")
    for key in [*keys, off.key, "", "nonsense", keys[0][:-1]]:
        for needed in ("", "ml:infer", "ml:infer and data:read", "ml:infer or data:read"):
            wanted = {"required_scopes": needed} if needed else {}
            code = deployment.validate(key, **wanted)["code"]
            answer = check(grpc_client, bearer(key) if key else {}, **wanted)
            assert ("VALID" if answer.status.code == 0 else denied(answer)[1]) == code


def test_it_is_not_offered_where_it_is_turned_off(deployment: Deployment) -> None:
    with serving(deployment, KEYRAIL_GRPC_EXT_AUTHZ="false") as client, pytest.raises(grpc.RpcError) as caught:
        check(client, {})
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
