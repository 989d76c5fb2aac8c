"""No secret and no refused text reaches any output: a canary is put into everything that is sent, and looked for."""

import json
from typing import Any

import pytest
from deployment import OPERATIONS, Deployment
from refusals import BODIES

from keyrail.domain.key_format import SECRET_CHARS, KeyFormat

CANARY = "Canary4711"
LOWER = "canary4711"


def secret_of(key: str) -> str:
    return key.rpartition("_")[2][:SECRET_CHARS]


def metrics(deployment: Deployment, operation: str) -> str:
    text = deployment.call(operation, path="/metrics", method="GET", data=b"").text
    assert f'operation="{operation}"' in text
    return text


def test_no_issued_secret_and_no_pepper(deployment: Deployment, output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole life of a key with its troubles, and every secret of it in every place that could take one."""
    issued = deployment.issue(scopes=["ml:infer"])
    keys = [issued.key, deployment.admin]
    keys += [deployment.do("rotate", issued.key_id, {"grace_seconds": grace})["key"] for grace in (60, 0)]
    replies = []
    for key in tuple(keys):
        wrong = KeyFormat().assemble(KeyFormat().parse(key).key_id, secret_of(key)[::-1])
        keys.append(wrong)
        for sent in (key, wrong, key[:-1], f"x{key} "):
            for operation in OPERATIONS:
                replies += [
                    deployment.call(operation, BODIES.get(operation), by=sent),
                    deployment.call(operation, BODIES.get(operation), headers={"X-API-Key": sent}),
                    deployment.call(operation, BODIES.get(operation), query=f"q={sent}"),
                    deployment.call(operation, BODIES.get(operation), path=f"/{sent}"),
                    deployment.call(operation, BODIES.get(operation), headers={"X-Correlation-ID": sent}),
                    deployment.call(operation, BODIES.get(operation), headers={"traceparent": sent}),
                    deployment.call(operation, {"name": sent, sent: sent, "key": [sent]}),
                ]
            replies.append(deployment.call("validate_key", {"key": sent, "required_scopes": "a:b"}))
            replies.append(deployment.call("validate_key", {"batch": [{"key": sent, "ip": "10.0.0.1"}]}))
    with monkeypatch.context() as broken:
        broken.setattr(deployment.services.keys, "find", lambda _: _raise(ValueError(keys)))
        replies += [deployment.call("validate_key", {"key": key}) for key in keys]
    told = [reply.text + str(reply.headers) for reply in replies if "key" not in (reply.json or {})]
    told += [output.text, *(metrics(deployment, operation) for operation in OPERATIONS)]
    peppers = deployment.services.lookup.peppers().by_version.values()
    for secret in {secret_of(key) for key in keys} | {pepper.hex() for pepper in peppers}:
        assert not any(secret in text for text in told)
    assert issued.key_id in output.text  # the same lines do tell of the key


def _raise(error: Exception) -> Any:
    raise error


def test_the_wrong_places_for_a_key_show_nothing_of_it(deployment: Deployment) -> None:
    """`told` above must not be empty for want of replies without a key of their own."""
    reply = deployment.call("validate_key", {"key": deployment.admin, "canary": 1})
    assert "key" not in reply.json


@pytest.mark.parametrize("operation", BODIES)
@pytest.mark.parametrize("value", [CANARY, [CANARY], {CANARY: CANARY}, {"a": CANARY}], ids=json.dumps)
def test_no_text_of_a_refused_body(deployment: Deployment, output: Any, operation: str, value: object) -> None:
    """In each field in turn, with a field that is refused in any case."""
    for name in OPERATIONS[operation].request.model_fields:
        body = BODIES[operation] | {name: value, f"{CANARY} unknown": CANARY}
        reply = deployment.call(operation, body, headers={"Idempotency-Key": f"{CANARY} 1"})
        assert reply.status_code in (400, 422)
        assert CANARY not in reply.text + str(reply.headers)
    assert CANARY not in output.text + metrics(deployment, operation)


@pytest.mark.parametrize("operation", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        f'{{"name": "{CANARY}"',
        f'{{"{CANARY}": 1, "{CANARY}": 2}}',
        f'["{CANARY}"]',
        f'{{"name": {CANARY}}}',
        f'{{"name": "{CANARY}\\ud800"}}',
        f'{{"name": "{CANARY}", "n": 1e999}}',
        f'"{CANARY}"' + " " * 70_000,
    ],
)
def test_no_text_of_a_body_that_is_no_json(deployment: Deployment, output: Any, operation: str, body: str) -> None:
    for content_type in ("application/json", f"text/{CANARY}"):
        reply = deployment.call(operation, data=body.encode(), content_type=content_type)
        assert reply.status_code in (400, 413, 415)
        assert CANARY not in reply.text + str(reply.headers)
    assert CANARY not in output.text + metrics(deployment, operation)


@pytest.mark.parametrize("query", [f"{CANARY}=1", f"owner={CANARY}&owner={CANARY}", f"limit={CANARY}", f"{CANARY}"])
def test_no_text_of_a_refused_query(deployment: Deployment, output: Any, query: str) -> None:
    reply = deployment.call("list_keys", query=query)
    assert reply.status_code in (400, 422)
    assert CANARY not in reply.text + output.text + metrics(deployment, "list_keys")


@pytest.mark.parametrize(
    "wrong",
    [{"scopes": [f"{LOWER}:x"]}, {"roles": [LOWER]}, {"tenant": LOWER}],
    ids=["a scope that is not held", "a role that is not there", "a foreign tenant"],
)
def test_no_well_formed_text_that_is_refused_reaches_the_log(
    deployment: Deployment, output: Any, wrong: dict[str, Any]
) -> None:
    """The reply may name a scope or a role, which are words of the deployment's own; the log does not."""
    issuer = deployment.issue(scopes=["keys:issue"]).key
    output.clear()
    reply = deployment.call("issue_key", {"owner": "o", "name": "n"} | wrong, by=issuer)
    assert reply.status_code in (403, 422)
    assert LOWER not in output.text + metrics(deployment, "issue_key")
