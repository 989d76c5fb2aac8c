"""No key, pepper, Vault token or secret id comes out anywhere but where it is shown by right. Runs last: it looks
for what every test before it was shown, too.

Everything a client can send wrong is sent with a key in it; Vault's answers are made to hold secrets; Vault is down.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from canary import Canary
from deployed import ALL, FUNCTION_OF, Deployment, look_through_logs
from http_api import Key, Reply, a_key_like
from vault_proxy import Asked, Cut, Proxy, proxy_to

from keyrail.domain.key_format import new_key_id
from keyrail.operations.catalogue import CATALOGUE

FIELDS = ("tenant", "owner", "name", "scopes", "roles", "labels", "metadata", "expires_at", "context", "rate", "reason")
HEADERS = ("X-Correlation-ID", "traceparent", "Idempotency-Key", "If-Match", "Content-Type", "X-Anything", "Cookie")

UNAVAILABLE = {(503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED")}
LIES = {
    "a document of wrong types": (
        200,
        '{"data": {"data": {"current": "SECRET", "SECRET": 1}, "metadata": {"version": 1}}}',
    ),
    "a record of wrong types": (200, '{"data": {"data": {"key_id": "SECRET"}, "metadata": {"version": 1}}}'),
    "no document": (200, '{"data": "SECRET"}'),
    "no JSON": (200, "SECRET"),
    "too deep": (200, '{"SECRET":' * 20_000),
    "an error": (500, '{"errors": ["SECRET"]}'),
    "a bad request": (400, '{"errors": ["SECRET"]}'),
    "absent, and more": (404, '{"errors": ["SECRET"]}'),
}


@dataclass(frozen=True)
class Watched:
    """Every function, behind a proxy that learns their Vault tokens and may answer in Vault's stead."""

    deployment: Deployment
    proxy: Proxy

    def call_all(self, key: Key, **more: Any) -> dict[str, Reply]:
        """Each operation once, in the form that succeeds on a live key; `more` changes each call alike."""
        api = self.deployment.api
        bodies: dict[str, dict[str, Any]] = {
            "issue_key": api.a_key(),
            "import_key": api.a_key(sha256=sha256(key.text.encode()).hexdigest()),
            "validate_key": {"key": a_key_like(new_key_id())},
            "rotate": {},
            "revoke_key": {},
            "update_key": {"labels": {}},
            "rotate_due": {},
            "sweep": {},
            "write_config": {"value": "a setting"},
        }
        path = more.pop("path", None)
        config = {"read_config": "a-config", "write_config": f"new/{secrets.token_hex(4)}"}
        return {
            each.name: api.call(
                FUNCTION_OF[each.name],
                each.method,
                path or each.path.format(key_id=key.key_id, name=config.get(each.name)),
                **{"body": bodies.get(each.name), **more},
            )
            for each in CATALOGUE
        }


@pytest.fixture(scope="module")
def watched(deployment: Deployment, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with proxy_to(deployment.vault.address) as proxy:
        proxy.before = lambda asked: canary.knows("a Vault token", asked.headers.get("X-Vault-Token") or "no token yet")
        made = Deployment(deployment.vault, tmp_path_factory.mktemp("watched"), canary)
        try:
            made.start(*ALL, vault_address=proxy.address, KEYRAIL_IMPORTED_PREFIXES="sk-")
            made.api.call("write_config", "PUT", "/v1/config/a-config", {"value": 1}).ok()
            yield Watched(made, proxy)
        finally:
            made.stop()


@pytest.fixture
def key(watched: Watched) -> Key:
    return watched.deployment.api.issue()


def test_what_is_looked_for_would_be_found() -> None:
    canary, key = Canary(), a_key_like(new_key_id())
    canary.knows_key(key)
    canary.knows("a pepper", "ab" * 32)
    for text in (f"x{key}y", key.upper() + key[20:], f'{{"a": "{"ab" * 32}"}}', "token=hvs.CAESIJ0123456789abcdefghij"):
        before = len(canary.hits)
        canary.search(f"place {before}", text)
        assert len(canary.hits) == before + 1
    canary.search("elsewhere", f'"key":"{key}"', [f'"key":"{key}"'])
    canary.search("elsewhere", a_key_like(new_key_id()))
    assert not [hit for hit in canary.hits if "elsewhere" in hit]


def test_a_whole_life(watched: Watched, key: Key) -> None:
    api = watched.deployment.api
    new = api.rotate(key.key_id).ok()["key"]
    batch = [{"key": text} for text in (key.text, new, a_key_like(key.key_id), "rubbish")]
    api.call("validate_key", "POST", "/v1/keys/validate", {"batch": batch}).ok()
    api.update(key.key_id, state="disabled", state_reason="a pause").ok()
    api.get(key.key_id).ok()
    api.list_all()
    api.revoke(key.key_id, reason="leaked").ok()
    assert api.get(key.key_id).ok()["state"] == "revoked"


@pytest.mark.parametrize("field", [*FIELDS, "anything"])
def test_a_key_in_any_field_is_refused(watched: Watched, key: Key, field: str) -> None:
    """Except where a key belongs, and in a metadata field that is not kept."""
    for value in (key.text, [key.text], {key.text: key.text}):
        replies = watched.call_all(key, body={field: value})
        assert {reply.status for reply in replies.values()} <= {400, 422}


def test_a_key_in_a_body_that_is_no_json(watched: Watched, key: Key) -> None:
    for body in (key.text, f'{{"key": "{key.text}"', f'{{"{key.text}": 1, "{key.text}": 2}}', f'["{key.text}"]'):
        for headers in ({}, {"Content-Type": "text/plain"}):
            replies = watched.call_all(key, body=body.encode(), headers=headers)
            assert {reply.status for reply in replies.values()} <= {400, 415}


@pytest.mark.parametrize("path", ["/v1/keys/{}", "/v1/keys/{}/rotate", "/{}", "/v1/keys?cursor={}", "/?{}=1"])
def test_a_key_in_the_url(watched: Watched, key: Key, path: str) -> None:
    replies = watched.call_all(key, path=path.format(key.text))
    assert {reply.code for reply in replies.values()} == {"KEY_IN_URL"}


@pytest.mark.parametrize("header", HEADERS)
def test_a_key_in_any_header(watched: Watched, key: Key, header: str) -> None:
    assert watched.call_all(key, headers={header: key.text})


def test_a_key_where_another_credential_is_expected(watched: Watched, key: Key) -> None:
    for credential in (f"Basic {key.text}", f"Bearer {key.text[:-1]}0", f"Bearer {key.text} {key.text}", key.text):
        replies = watched.call_all(key, headers={"Authorization": credential})
        assert {reply.status for reply in replies.values()} == {401}
    replies = watched.call_all(key, headers={"X-API-Key": key.text})
    assert {reply.status for reply in replies.values()} == {400}


@pytest.mark.parametrize("lie", LIES)
def test_answers_of_vault_that_hold_secrets(watched: Watched, key: Key, lie: str) -> None:
    pepper = watched.deployment.document("pepper")["versions"]["1"]
    status, answer = LIES[lie]
    watched.proxy.instead = lambda _: (status, answer.replace("SECRET", f"{key.text} {pepper}").encode())
    try:
        replies = watched.call_all(key)
    finally:
        watched.proxy.instead = lambda _: None
    assert {(reply.status, reply.code) for reply in replies.values()} <= UNAVAILABLE


def _is_refused_by_a_new_process(watched: Watched, **env: str) -> tuple[int, str]:
    """Status and code of a call that would succeed."""
    api = watched.deployment.api
    instance = watched.deployment.launch("get_key", vault_address=watched.proxy.address, **env)
    while not instance.is_up("livez"):
        instance.function.require_running()
    assert not instance.is_up("readyz")
    reply = api.call("get_key", "GET", f"/v1/keys/{watched.deployment.admin_key_id}", at=instance.url)
    watched.deployment.stop(instance)
    return reply.status, reply.code


def test_a_login_that_is_refused_with_its_secret_in_the_answer(watched: Watched) -> None:
    """By a server that quotes what it was sent."""
    watched.proxy.instead = lambda asked: (400, asked.body) if b"secret_id" in asked.body else None
    try:
        assert _is_refused_by_a_new_process(watched) == (503, "UNAVAILABLE")
    finally:
        watched.proxy.instead = lambda _: None


def test_settings_that_hold_secrets_in_the_wrong_place(watched: Watched, key: Key) -> None:
    wrong = {
        "KEYRAIL_CACHE_MAX_KEYS": key.text,
        "KEYRAIL_VAULT_AUTH": key.text,
        "VAULT_ADDR": f"http://{key.text}@127.0.0.1:1/?{key.text}",
    }
    assert _is_refused_by_a_new_process(watched, **wrong) == (500, "INTERNAL")
    token = {"KEYRAIL_VAULT_AUTH": "token", "VAULT_TOKEN": f"{key.text}\nx"}
    assert _is_refused_by_a_new_process(watched, **token) == (500, "INTERNAL")


def test_vault_is_down(watched: Watched, key: Key) -> None:
    def cut(_: Asked) -> None:
        raise Cut

    watched.proxy.after = cut
    try:
        for _ in range(4):  # with the breaker open, too
            replies = watched.call_all(key)
            assert {(reply.status, reply.code) for reply in replies.values()} <= UNAVAILABLE
    finally:
        watched.proxy.after = lambda _: None


def test_no_secret_was_found_in_all_that_this_run_said(
    deployment: Deployment, watched: Watched, canary: Canary
) -> None:
    deployment.look_through()
    watched.deployment.look_through()
    look_through_logs(deployment.vault, canary)
    print(f"\n{canary.known} secrets looked for in {canary.searched_chars / 1e6:.0f} million characters")
    assert canary.known > 20
    assert canary.hits == set()
