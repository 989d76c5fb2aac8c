"""API Gateway's question about a request: its forms of yes and no, over the decision that every gateway gets."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from deployment import Deployment, unavailable
from lambda_client import Context, handler_of, recorded
from process_output import Output

from keyrail.domain.errors import KeyrailError
from keyrail.domain.key_format import ANY_KEY
from keyrail.triggers import lambda_authorizer
from keyrail.triggers.lambda_authorizer import AuthorizerFailed, Unauthorized

REQUESTS = ("authorizer_http_api", "authorizer_payload_1", "authorizer_request")
POLICIES = ("authorizer_payload_1", "authorizer_request", "authorizer_token")
ROUTES = {"GET /infer": {"required_scopes": "ml:infer", "audience": "inference"}, "$default": {"tenant": "acme"}}


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    lambda_authorizer._settings.cache_clear()
    yield
    lambda_authorizer._settings.cache_clear()


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYRAIL_AUTHORIZER_ROUTES", json.dumps(ROUTES))


def ask(shape: str, authorization: str | None, **changes: Any) -> dict[str, Any]:
    """`changes` are of the event."""
    event = recorded(shape) | changes
    if shape == "authorizer_token":
        event["authorizationToken"] = authorization
    elif authorization is not None:
        event["headers"]["Authorization"] = authorization
        if "multiValueHeaders" in event:
            event["multiValueHeaders"]["Authorization"] = [authorization]
    answer: dict[str, Any] = handler_of("validate_key")(event, Context())
    return answer


def statement(answer: dict[str, Any]) -> dict[str, str]:
    policy = answer["policyDocument"]
    assert policy["Version"] == "2012-10-17"
    (only,) = policy["Statement"]
    assert only["Action"] == "execute-api:Invoke"
    return dict(only)


def test_a_good_key_is_authorized_and_told_to_the_integration(deployment: Deployment) -> None:
    made = deployment.issue(scopes=["ml:infer", "data:read"], owner="größe")
    answer = ask("authorizer_http_api", f"Bearer {made.key}")
    told = {
        "key_id": made.key_id,
        "generation": "1",
        "tenant": "acme",
        "principal": "gr%C3%B6%C3%9Fe",
        "scopes": "ml:infer data:read",
        "code": "VALID",
    }
    assert answer == {"isAuthorized": True, "context": told}


@pytest.mark.parametrize("shape", POLICIES)
def test_a_policy_allows_the_one_method_that_was_asked_for(deployment: Deployment, shape: str) -> None:
    made = deployment.issue(scopes=["ml:infer"])
    answer = ask(shape, f"bearer {made.key}")
    assert answer["principalId"] == "ml-team"
    assert (answer["context"]["key_id"], answer["context"]["scopes"]) == (made.key_id, "ml:infer")
    assert statement(answer) | {"Action": ""} == {
        "Action": "",
        "Effect": "Allow",
        "Resource": recorded(shape)["methodArn"],
    }


def test_an_http_api_may_be_answered_by_a_policy_too(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYRAIL_AUTHORIZER_RESPONSE", "iam")
    answer = ask("authorizer_http_api", f"Bearer {deployment.issue().key}")
    assert statement(answer)["Effect"] == "Allow"
    assert statement(answer)["Resource"] == recorded("authorizer_http_api")["routeArn"]
    refused = ask("authorizer_http_api", "Bearer nonsense")
    assert (statement(refused)["Effect"], refused["context"]["code"]) == ("Deny", "MALFORMED")


def test_a_refused_key_is_401_for_whoever_can_tell_that_and_else_403_with_its_code(deployment: Deployment) -> None:
    revoked = deployment.issue()
    deployment.do("revoke_key", revoked.key_id)
    answer = ask("authorizer_http_api", f"Bearer {revoked.key}")
    assert answer == {"isAuthorized": False, "context": {"code": "REVOKED"}}
    for shape in POLICIES:
        with pytest.raises(Unauthorized, match=r"^Unauthorized$"):
            ask(shape, f"Bearer {revoked.key}")


@pytest.mark.parametrize("shape", [*POLICIES, "authorizer_http_api"])
def test_a_token_that_is_no_bearer_is_malformed(deployment: Deployment, shape: str, output: Output) -> None:
    made = deployment.issue()
    output.clear()
    for text in (made.key, f"Basic {made.key}", "", f"Bearer {made.key}, Bearer {made.key}"):
        if shape == "authorizer_http_api":
            assert ask(shape, text)["isAuthorized"] is False
        else:
            with pytest.raises(Unauthorized):
                ask(shape, text)
    assert {line["code"] for line in output.lines("request")} <= {"MALFORMED", "MISSING"}
    assert not ANY_KEY.search(output.text)


@pytest.mark.usefixtures("routes")
@pytest.mark.parametrize("shape", REQUESTS)
def test_a_route_needs_what_the_settings_say(deployment: Deployment, shape: str) -> None:
    good, poor = (deployment.issue(scopes=[scope], context={"audiences": ["inference"]}) for scope in ("ml:*", "a:b"))
    assert ask(shape, f"Bearer {good.key}")["context"]["code"] == "VALID"
    refused = ask(shape, f"Bearer {poor.key}")
    assert refused["context"]["code"] == "INSUFFICIENT_SCOPE"
    assert refused.get("isAuthorized", False) is False
    if "policyDocument" in refused:
        assert (statement(refused)["Effect"], refused["principalId"]) == ("Deny", "nobody")


@pytest.mark.usefixtures("routes")
def test_a_route_is_named_by_api_gateway_and_not_by_the_clients_path(deployment: Deployment) -> None:
    poor = f"Bearer {deployment.issue(scopes=[], context={'audiences': ['inference']}).key}"
    changes = {"rawPath": "/any", "path": "/any", "routeArn": "arn:aws:execute-api:r:1:a/$default/GET/any"}
    assert ask("authorizer_http_api", poor, **changes)["context"]["code"] == "INSUFFICIENT_SCOPE"
    assert ask("authorizer_request", poor, **changes)["context"]["code"] == "INSUFFICIENT_SCOPE"


@pytest.mark.parametrize(
    "settings_of_routes",
    [
        json.dumps({"GET /other": {}}),
        json.dumps({"GET /infer": {"required_scopes": "and and"}}),
        json.dumps({"GET /infer": {"typo": "x"}}),
        json.dumps({"GET /infer": {"required_scopes": ""}}),
        json.dumps({"GET /infer": "ml:infer"}),
        "[]",
        "{",
    ],
)
@pytest.mark.parametrize("shape", [*REQUESTS, "authorizer_token"])
def test_wrong_settings_let_nobody_in(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, settings_of_routes: str, shape: str
) -> None:
    monkeypatch.setenv("KEYRAIL_AUTHORIZER_ROUTES", settings_of_routes)
    made = deployment.issue(scopes=["*"])
    with pytest.raises(AuthorizerFailed, match=r"^UNAVAILABLE$"):
        ask(shape, f"Bearer {made.key}")


def test_a_token_takes_what_holds_for_every_route(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYRAIL_AUTHORIZER_ROUTES", '{"*": {"required_scopes": "ml:infer"}}')
    good, poor = (deployment.issue(scopes=[scope]) for scope in ("ml:infer", "ml:train"))
    assert statement(ask("authorizer_token", f"Bearer {good.key}"))["Effect"] == "Allow"
    assert statement(ask("authorizer_token", f"Bearer {poor.key}"))["Effect"] == "Deny"


@pytest.mark.parametrize("shape", [*REQUESTS, "authorizer_token"])
def test_a_store_that_is_away_is_an_error_and_never_a_no(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    made = deployment.issue()
    monkeypatch.setattr(deployment.services.keys, "find", unavailable)
    with pytest.raises(AuthorizerFailed, match=r"^UNAVAILABLE$") as raised:
        ask(shape, f"Bearer {made.key}")
    assert not isinstance(raised.value, KeyrailError)


@pytest.mark.parametrize("path", ["*", "a/*", "inf?r", "${aws:userid}"])
def test_a_path_that_a_policy_would_read_as_more_than_itself_is_denied(deployment: Deployment, path: str) -> None:
    made = deployment.issue()
    arn = f"arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/prod/GET/{path}"
    for shape in POLICIES:
        assert statement(ask(shape, f"Bearer {made.key}", methodArn=arn))["Effect"] == "Deny"


@pytest.mark.parametrize("shape", REQUESTS)
def test_the_clients_address_is_the_gateways_word(deployment: Deployment, shape: str) -> None:
    near, far = (deployment.issue(context={"cidrs": [cidr]}) for cidr in ("192.0.2.0/24", "10.0.0.0/8"))
    forged = recorded(shape)["headers"] | {"X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1"}
    assert ask(shape, f"Bearer {near.key}", headers=forged)["context"]["code"] == "VALID"
    assert ask(shape, f"Bearer {far.key}", headers=forged)["context"]["code"] == "CONTEXT_DENIED"


def test_two_keys_are_malformed_also_where_the_last_one_wins(deployment: Deployment) -> None:
    one, other = deployment.issue(), deployment.issue()
    event = recorded("authorizer_request")
    event["headers"]["Authorization"] = f"Bearer {one.key}"
    event["multiValueHeaders"]["Authorization"] = [f"Bearer {other.key}", f"Bearer {one.key}"]
    with pytest.raises(Unauthorized):
        handler_of("validate_key")(event, Context())


def test_a_limit_and_a_retiring_key_are_told(deployment: Deployment) -> None:
    limited = deployment.issue(rate={"requests": 1, "window_seconds": 60})
    old = deployment.issue()
    deployment.do("rotate", old.key_id, {"grace_seconds": 600})
    assert ask("authorizer_request", f"Bearer {limited.key}")["context"]["code"] == "VALID"
    refused = ask("authorizer_request", f"Bearer {limited.key}")
    assert (statement(refused)["Effect"], refused["context"]["code"]) == ("Deny", "RATE_LIMITED")
    assert 0 < int(refused["context"]["retry_after"]) <= 60
    told = ask("authorizer_http_api", f"Bearer {old.key}")["context"]
    assert told["sunset"].endswith("GMT")
    assert told["deprecation"].startswith("@")


@pytest.mark.parametrize("changes", [{"headers": 5}, {"headers": {"a": 5}}, {"methodArn": 5}, {"requestContext": []}])
def test_a_malformed_question_lets_nobody_in(deployment: Deployment, changes: dict[str, Any]) -> None:
    made = deployment.issue()
    with pytest.raises(AuthorizerFailed):
        ask("authorizer_request", None, **{"headers": {"authorization": f"Bearer {made.key}"}} | changes)


def test_no_other_function_answers_it(deployment: Deployment) -> None:
    reply = handler_of("get_key")(recorded("authorizer_request"), Context())
    assert (reply["statusCode"], json.loads(reply["body"])["code"]) == (400, "MALFORMED_REQUEST")


def test_the_request_line_has_the_gateways_id(deployment: Deployment, output: Output) -> None:
    ask("authorizer_http_api", f"Bearer {deployment.issue().key}")
    assert output.lines("request")[-1]["correlation_id"] == "JKJaXmPLvHcESHA"
    assert output.lines("request")[-1]["actor"] == "iam:api-gateway"
