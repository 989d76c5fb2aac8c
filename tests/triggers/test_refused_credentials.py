"""Where the caller's own key may be, and where no key may be."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from deployment import OPERATIONS, Deployment
from refusals import BODIES, is_problem, refused

EVERY_OPERATION = pytest.mark.parametrize("operation", OPERATIONS)


@pytest.fixture
def key(deployment: Deployment) -> str:
    return deployment.issue(scopes=["*"]).key


@pytest.mark.parametrize(
    "headers",
    [
        lambda key: {"Authorization": f"Bearer {key}"},
        lambda key: {"Authorization": f"bearer {key}"},
        lambda key: {"Authorization": f"BEARER   {key} "},
        lambda key: {"X-API-Key": key},
        lambda key: {"Authorization": f"Bearer {key}", "X-API-Key": key},
    ],
)
def test_it_is_taken_from_either_header(deployment: Deployment, key: str, headers: Any) -> None:
    assert deployment.call("list_keys", by=None, headers=headers(key)).status_code == 200


@EVERY_OPERATION
def test_two_different_ones_are_refused(deployment: Deployment, key: str, operation: str) -> None:
    refused(deployment, operation, 400, "MALFORMED_REQUEST", by=key, headers={"X-API-Key": deployment.admin})


@EVERY_OPERATION
@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNzd29yZA==",
        "Digest username=x",
        "{key}",
        "Token {key}",
        "Bearer{key}",
        "Bearer {key}, Bearer {key}",
        "Bearer {key} {key}",
        "Bearer\t{key}",
        "Basic {key}",
    ],
)
def test_another_scheme_is_refused(deployment: Deployment, key: str, operation: str, authorization: str) -> None:
    headers = {"Authorization": authorization.replace("{key}", key)}
    reply = refused(deployment, operation, 401, "MALFORMED", by=None, headers=headers)
    assert reply.headers["WWW-Authenticate"].startswith("Bearer ")
    assert key not in str(reply.headers) + reply.text


@pytest.mark.parametrize("text", ["", " ", "é", "x" * 10_000, "{key} ", "{key},{key}"])
def test_what_is_no_key_is_refused(deployment: Deployment, key: str, text: str) -> None:
    headers = {"X-API-Key": text.replace("{key}", key)}
    reply = refused(deployment, "list_keys", 401, "MALFORMED", by=None, headers=headers)
    assert key not in reply.text


class TestKeyInUrl:
    @EVERY_OPERATION
    def test_in_the_path(self, deployment: Deployment, key: str, operation: str) -> None:
        for path in (f"/v1/keys/{key}", f"/{key}", f"/v1/keys/{key}/rotate", f"/v1/keys/{key.replace('_', '%5F')}"):
            self._refused(deployment, operation, key, path=path)

    @EVERY_OPERATION
    def test_in_the_query(self, deployment: Deployment, key: str, operation: str) -> None:
        for query in (
            f"key={key}",
            f"a={key}&b=c",
            key,
            f"owner={key.replace('_', '%5f')}",
            "owner=" + "".join(f"%{ord(letter):02x}" for letter in key),
        ):
            self._refused(deployment, operation, key, query=query)

    def test_before_anybody_asks_who_calls(self, deployment: Deployment, key: str) -> None:
        self._refused(deployment, "list_keys", key, query=f"key={key}", by=None)

    def _refused(self, deployment: Deployment, operation: str, key: str, **message: Any) -> None:
        reply = refused(deployment, operation, 400, "KEY_IN_URL", **message)
        assert key not in reply.text
        assert "otate it" in reply.json["detail"]


class TestKeyInAText:
    """Refused wherever a text is kept or listed."""

    @pytest.mark.parametrize(
        ("operation", "wrong"),
        [
            ("issue_key", {"name": "{key}"}),
            ("issue_key", {"name": "the key is {key}."}),
            ("issue_key", {"owner": "{key}"}),
            ("issue_key", {"labels": {"a": "{key}"}}),
            ("issue_key", {"metadata": {"a": "{key}"}}),
            ("issue_key", {"metadata": {"a": [{"b": "x {key} x"}]}}),
            ("issue_key", {"metadata": {"{key}": 1}}),
            ("issue_key", {"context": {"audiences": ["{key}"]}}),
            ("issue_key", {"idempotency_key": "{key}"}),
            ("rotate", {"idempotency_key": "{key}"}),
            ("update_key", {"name": "{key}"}),
            ("update_key", {"owner": "{key}"}),
            ("update_key", {"labels": {"a": "{key}"}}),
            ("update_key", {"metadata": {"a": "{key}"}}),
            ("update_key", {"state": "disabled", "state_reason": "leaked: {key}"}),
            ("revoke_key", {"reason": "leaked: {key}"}),
            ("validate_key", {"audience": "{key}"}),
            ("validate_key", {"ip": "{key}"}),
            ("validate_key", {"required_scopes": "{key}"}),
        ],
        ids=lambda value: json.dumps(value) if isinstance(value, dict) else value,
    )
    def test_in_a_field(self, deployment: Deployment, key: str, operation: str, wrong: dict[str, Any]) -> None:
        body = json.loads(json.dumps(BODIES[operation] | wrong).replace("{key}", key))
        reply = refused(deployment, operation, 422, "INVALID_FIELD", body=body)
        assert key not in reply.text

    @pytest.mark.parametrize("operation", ["issue_key", "rotate"])
    def test_in_an_idempotency_key(self, deployment: Deployment, key: str, operation: str) -> None:
        reply = refused(deployment, operation, 422, "INVALID_FIELD", headers={"Idempotency-Key": key})
        assert key not in reply.text

    def test_in_an_if_match(self, deployment: Deployment, key: str) -> None:
        reply = refused(deployment, "update_key", 412, "ETAG_MISMATCH", headers={"If-Match": key})
        assert key not in reply.text

    @EVERY_OPERATION
    @pytest.mark.parametrize("name", ["X-Correlation-ID", "traceparent"])
    def test_in_a_correlation_id_another_one_is_made(
        self, deployment: Deployment, key: str, operation: str, name: str
    ) -> None:
        reply = deployment.call(operation, by="x", headers={name: key})
        is_problem(reply, 401, "MALFORMED")
        assert key not in str(reply.headers) + reply.text

    def test_one_that_is_quoted_twice_is_no_key_to_us(self, deployment: Deployment, key: str) -> None:
        """Only what a client would read as a key is looked for."""
        twice = quote(quote(key.replace("_", "%5f")))
        refused(deployment, "list_keys", 422, "INVALID_FIELD", query=f"colour={twice}")
