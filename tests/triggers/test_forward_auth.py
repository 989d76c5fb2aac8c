"""What a gateway asks over HTTP about a request: the status for the client, the headers for the service behind."""

from typing import Any

import pytest
from deployment import ADMIN, Deployment, unavailable
from process_output import Output
from werkzeug.test import TestResponse

from keyrail.domain.key_format import ANY_KEY

IP = "192.0.2.7"


def authorize(
    deployment: Deployment, headers: dict[str, str], by: str | None = ADMIN, query: str = "", **sent: Any
) -> TestResponse:
    """`by` is the gateway's key, None for none; "X-Real-IP": "" takes the client's address away."""
    gateways = {} if by is None else {"X-Keyrail-Gateway-Key": deployment.admin if by == ADMIN else by}
    asked = {"X-Real-IP": IP} | gateways | headers
    if not asked["X-Real-IP"]:
        del asked["X-Real-IP"]
    message: dict[str, Any] = {"path": "/v1/authorize", "method": "GET", "data": b""} | sent
    return deployment.call("validate_key", by=None, headers=asked, query=query, **message)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refused(reply: TestResponse) -> tuple[int, str]:
    """The status, and the code in the body and beside it."""
    assert reply.content_type == "application/problem+json"
    assert reply.json["status"] == reply.status_code
    assert reply.json["code"] == reply.headers["X-Keyrail-Code"]
    assert reply.json["correlation_id"] == reply.headers["X-Correlation-ID"]
    assert "X-Keyrail-Key-Id" not in reply.headers
    return reply.status_code, reply.json["code"]


def test_a_good_key_is_200_without_a_body_and_tells_whose_it_is(deployment: Deployment) -> None:
    made = deployment.issue(scopes=["ml:infer", "data:read"], owner="größe/100%")
    reply = authorize(deployment, bearer(made.key), query="required_scopes=ml:infer+and+data:read")
    assert (reply.status_code, reply.data) == (200, b"")
    told = {name.lower(): value for name, value in reply.headers if name.lower().startswith("x-keyrail-")}
    assert told == {
        "x-keyrail-key-id": made.key_id,
        "x-keyrail-generation": "1",
        "x-keyrail-tenant": "acme",
        "x-keyrail-principal": "gr%C3%B6%C3%9Fe/100%25",
        "x-keyrail-scopes": "ml:infer data:read",
    }
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_any_method_is_answered_and_no_body_is_read(deployment: Deployment, method: str) -> None:
    made = deployment.issue()
    sent = {"method": method, "data": b"{" * 200_000, "content_type": "application/json"}
    assert authorize(deployment, bearer(made.key), **sent).status_code == 200
    assert authorize(deployment, {}, **sent).status_code == 401


def test_the_status_of_each_refusal(deployment: Deployment) -> None:
    made, revoked, off, rotated = (deployment.issue() for _ in range(4))
    deployment.do("revoke_key", revoked.key_id)
    deployment.do("update_key", off.key_id, {"state": "disabled"})
    deployment.do("rotate", rotated.key_id, {"grace_seconds": 0})
    bound = deployment.issue(context={"cidrs": ["10.0.0.0/8"], "audiences": ["api"]})
    short = deployment.issue(lifetime_seconds=30)
    deployment.wait(60)

    def of(headers: dict[str, str], query: str = "") -> tuple[int, str]:
        return refused(authorize(deployment, headers, query=query))

    assert of({}) == (401, "MISSING")
    assert of(bearer("nonsense")) == (401, "MALFORMED")
    assert of(bearer("x" * 10_000)) == (401, "MALFORMED")
    assert of({"Authorization": "Basic dTpw"}) == (401, "MALFORMED")
    assert of(bearer(made.key) | {"X-API-Key": off.key}) == (401, "MALFORMED")
    assert of(bearer(revoked.key)) == (401, "REVOKED")
    assert of(bearer(off.key)) == (401, "DISABLED")
    assert of(bearer(short.key)) == (401, "EXPIRED")
    assert of(bearer(rotated.key)) == (401, "ROTATED_OUT")
    assert of(bearer(made.key), "tenant=other") == (401, "NOT_FOUND")
    assert of(bearer(made.key), "required_scopes=ml:train") == (403, "INSUFFICIENT_SCOPE")
    assert of(bearer(bound.key), "audience=api") == (403, "CONTEXT_DENIED")
    passed = authorize(deployment, bearer(bound.key) | {"X-Real-IP": "10.1.1.1"}, query="audience=api")
    assert passed.status_code == 200


def test_refusals_say_how_to_authenticate(deployment: Deployment) -> None:
    made = deployment.issue()
    missing, wrong = authorize(deployment, {}), authorize(deployment, bearer("nonsense"))
    poor = authorize(deployment, bearer(made.key), query="required_scopes=ml:train")
    assert missing.headers["WWW-Authenticate"] == 'Bearer realm="keyrail"'
    assert 'error="invalid_token"' in wrong.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in poor.headers["WWW-Authenticate"]


@pytest.mark.parametrize(("limit", "code"), [("rate", "RATE_LIMITED"), ("quota", "QUOTA_EXCEEDED")])
def test_a_used_up_key_gets_429_and_when_to_come_back(deployment: Deployment, limit: str, code: str) -> None:
    made = deployment.issue(**{limit: {"requests": 1, "window_seconds": 600}})
    assert authorize(deployment, bearer(made.key)).status_code == 200
    reply = authorize(deployment, bearer(made.key))
    assert refused(reply) == (429, code)
    assert 0 < int(reply.headers["Retry-After"]) <= 600


def test_a_retiring_key_passes_and_its_holder_is_told(deployment: Deployment) -> None:
    made = deployment.issue()
    deployment.do("rotate", made.key_id, {"grace_seconds": 600})
    reply = authorize(deployment, bearer(made.key))
    assert reply.status_code == 200
    assert reply.headers["Deprecation"].startswith("@")
    assert reply.headers["Sunset"].endswith("GMT")


def test_a_lost_store_is_503_and_never_401(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    made = deployment.issue()
    authorize(deployment, bearer("x"))  # so that the gateway's own key is in memory
    monkeypatch.setattr(type(deployment.services.keys), "find", unavailable)
    reply = authorize(deployment, bearer(made.key))
    assert refused(reply) == (503, "UNAVAILABLE")
    assert reply.headers["Retry-After"] == "1"


def test_a_key_bound_to_networks_is_refused_where_the_gateway_tells_no_address(deployment: Deployment) -> None:
    made = deployment.issue(context={"cidrs": ["0.0.0.0/0", "::/0"]})
    assert authorize(deployment, bearer(made.key)).status_code == 200
    without = {"X-Real-IP": "", "X-Forwarded-For": IP} | bearer(made.key)
    assert refused(authorize(deployment, without)) == (403, "CONTEXT_DENIED")


@pytest.mark.parametrize(
    "query",
    [
        "required_scopes=and+and",
        "required_scopes=",
        "required_scopes=ml:infer&required_scopes=ml:infer",
        "tenant=NOT+A+TENANT",
        "audience=",
        "typo=x",
        "remove_key=true",
        "key=x",
        "ip=10.0.0.1",
        "required_scopes",
    ],
)
def test_a_gateway_whose_configuration_is_wrong_lets_nothing_pass(
    deployment: Deployment, output: Output, query: str
) -> None:
    made = deployment.issue(scopes=["*"])
    assert refused(authorize(deployment, bearer(made.key), query=query)) == (503, "UNAVAILABLE")
    assert len(output.lines("gateway")) == 1


@pytest.mark.parametrize("address", ["localhost", "10.0.0.1, 10.0.0.2", "unix:"])
def test_an_address_that_is_none_lets_nothing_pass(deployment: Deployment, address: str) -> None:
    made = deployment.issue()
    reply = authorize(deployment, bearer(made.key) | {"X-Real-IP": address})
    assert refused(reply) == (503, "UNAVAILABLE")


def test_a_key_in_the_query_is_the_gateways_fault_and_not_logged(deployment: Deployment, output: Output) -> None:
    made = deployment.issue()
    output.clear()
    reply = authorize(deployment, bearer(made.key), query=f"audience={made.key}")
    assert refused(reply) == (503, "UNAVAILABLE")
    assert [line["code"] for line in output.lines("gateway")] == ["KEY_IN_URL"]
    assert not ANY_KEY.search(output.text)


def test_a_gateway_without_the_right_to_validate_lets_nothing_pass(deployment: Deployment, output: Output) -> None:
    made, poor = deployment.issue(), deployment.issue(scopes=["ml:infer"])
    output.clear()
    for by in (None, "", "nonsense", poor.key):
        assert refused(authorize(deployment, bearer(made.key), by=by)) == (503, "UNAVAILABLE")
    codes = [line["code"] for line in output.lines("gateway")]
    assert codes == ["MISSING", "MISSING", "MALFORMED", "INSUFFICIENT_SCOPE"]


def test_the_clients_key_is_no_gateways_key(deployment: Deployment) -> None:
    assert refused(authorize(deployment, bearer(deployment.admin), by=None)) == (503, "UNAVAILABLE")


def test_a_gateway_of_one_tenant_knows_no_keys_of_another(deployment: Deployment) -> None:
    made, gateway = deployment.issue(), deployment.issue(tenant="other", scopes=["keys:validate"])
    assert refused(authorize(deployment, bearer(made.key), by=gateway.key)) == (401, "NOT_FOUND")


def test_the_clients_correlation_id_is_kept(deployment: Deployment, output: Output) -> None:
    made = deployment.issue()
    output.clear()
    for key in (made.key, "nonsense"):
        reply = authorize(deployment, bearer(key) | {"X-Correlation-ID": "from-the-client"})
        assert reply.headers["X-Correlation-ID"] == "from-the-client"
    assert {line["correlation_id"] for line in output.lines("request")} == {"from-the-client"}
    assert {line["operation"] for line in output.lines("request")} == {"validate_key"}


def test_it_is_there_on_validate_key_alone(deployment: Deployment) -> None:
    reply = deployment.call("get_key", by=None, path="/v1/authorize")
    assert (reply.status_code, reply.json["code"]) == (404, "NO_SUCH_ROUTE")
    reply = authorize(deployment, {}, path="/v1/authorize/")
    assert (reply.status_code, reply.json["code"]) == (404, "NO_SUCH_ROUTE")
