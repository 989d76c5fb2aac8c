"""What must be so once the service is deployed. Each raises CheckFailed where it is not."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keyrail.dev.asking import Reply, ask

FRESH_WITHIN_SECONDS = 10.0  # a revocation takes about a second; a loaded machine more
FIRES_WITHIN_SECONDS = 150.0  # a clock of one minute, begun anywhere in it
POLL_SECONDS = 0.25


class CheckFailed(Exception):
    """The message says what was expected, and what was seen; never a key."""


@dataclass(frozen=True)
class Api:
    """Keyrail's, as an administrator calls it."""

    url: str
    admin_key: str

    def post(self, path: str, expected: int = 200, **body: Any) -> dict[str, Any]:
        return _expect(ask("POST", self.url + path, self.admin_key, body), expected, path).body

    def issue(self, **given: Any) -> dict[str, Any]:
        return self.post("/v1/keys", 201, tenant="acme", owner="local-aws", **given)

    def code_of(self, key: str) -> str:
        return str(self.post("/v1/keys/validate", key=key)["code"])


def guards(api: Api, model_url: str) -> None:
    """A route of somebody's own API: open to a key with the scope until it is revoked, and to nobody else."""
    right = api.issue(name="right", scopes=["ml:infer"])
    wrong = api.issue(name="wrong", scopes=["ml:train"])
    _expect(ask("GET", model_url), 401, "no key")
    _expect(ask("GET", model_url, wrong["key"]), 403, "a key without the scope")
    told = _expect(ask("GET", model_url, right["key"]), 200, "a key with the scope").body
    if told["key_id"] != right["key_id"]:
        raise CheckFailed(f"the service was told of {told['key_id']} instead of {right['key_id']}")
    api.post(f"/v1/keys/{right['key_id']}/revoke", reason="end of the check")
    refused = lambda: ask("GET", model_url, right["key"]).status == 403  # noqa: E731
    wait("a revoked key is refused: nothing is cached at the gateway", refused, FRESH_WITHIN_SECONDS)


def issue_due(api: Api, sink: str) -> dict[str, Any]:
    """A key that the next tick brings into its sink."""
    rotation = {"sink": f"secretsmanager:{sink}", "interval_seconds": 86_400, "grace_seconds": 3600}
    return api.issue(name="due", rotation=rotation)


def clock_rotates(api: Api, secrets: Any, sink: str, issued: dict[str, Any]) -> None:
    """Nobody called for it. `secrets`: boto3's client."""
    found: list[dict[str, Any]] = []

    def delivered() -> bool:
        found[:] = _held(secrets, f"keyrail/{sink}")
        return found != []

    wait("the clock has rotated the key", delivered, FIRES_WITHIN_SECONDS)
    seen = (found[0]["key_id"], found[0]["generation"])
    if seen != (issued["key_id"], 2):
        raise CheckFailed(f"the sink has key and generation {seen}")
    codes_become(api, [issued["key"], found[0]["api_key"]], ["VALID", "VALID"])


def codes_become(api: Api, keys: list[str], codes: list[str]) -> None:
    """Once every instance has heard of the last change."""
    wait(f"keys are {codes}", lambda: [api.code_of(key) for key in keys] == codes, FRESH_WITHIN_SECONDS)


def _held(secrets: Any, name: str) -> list[dict[str, Any]]:
    """The document that is current, where there is one."""
    try:
        return [json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])]
    except secrets.exceptions.ResourceNotFoundException:
        return []


def _expect(reply: Reply, status: int, what: str) -> Reply:
    if reply.status != status:
        told = (reply.status, reply.body.get("code"), reply.body.get("detail"))
        raise CheckFailed(f"{what}: {told} instead of {status}")
    return reply


def wait(what: str, is_so: Callable[[], bool], seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > ends_at:
            raise CheckFailed(f"not within {seconds:.0f} s: {what}")
        time.sleep(POLL_SECONDS)
