"""Questions to validate_key without its models, in the forms that nearly all of them have. Whatever else is asked goes
through the model, which knows what is wrong with it."""

from functools import lru_cache
from typing import Any

from keyrail.domain import texts
from keyrail.judging import MAX_BATCH, MAX_KEY_CHARS, SCOPE, Question, Questions, judge
from keyrail.operations.operation import Route

JUDGING = Route(name="validate_key", method="POST", path="/v1/keys/validate", scope=SCOPE, run=judge)
_ONE = frozenset({"key", "required_scopes", "ip", "audience", "tenant"})
_OF_A_BATCH = _ONE - {"tenant"}


def question_of(key: str, scopes: str | None, ip: str | None, audience: str | None, tenant: str | None) -> Question:
    """`tenant` is checked only. Raises: InvalidArgument, as for a ValidateRequest."""
    try:
        return _plain(key, scopes, ip, audience, tenant)
    except ValueError:
        given = {"required_scopes": scopes, "ip": ip, "audience": audience, "tenant": tenant}
        payload = {"key": key, **{name: value for name, value in given.items() if value is not None}}
        return _modelled(payload).asked[0]


def questions_of_payload(payload: dict[str, Any]) -> Questions:
    """Of a ValidateRequest in JSON. Raises: InvalidArgument."""
    try:
        return _batch(payload) if "batch" in payload else _one(payload)
    except ValueError:
        return _modelled(payload)


def _one(payload: dict[str, Any]) -> Questions:
    tenant = payload.get("tenant")
    return Questions([_from(payload, _ONE, tenant)], tenant, is_batch=False)


def _batch(payload: dict[str, Any]) -> Questions:
    entries, tenant = payload["batch"], payload.get("tenant")
    if not payload.keys() <= {"batch", "tenant"} or not isinstance(entries, list) or not 0 < len(entries) <= MAX_BATCH:
        raise ValueError("unusual")
    return Questions([_from(each, _OF_A_BATCH, tenant) for each in entries], tenant, is_batch=True)


def _from(given: Any, known: frozenset[str], tenant: Any) -> Question:
    """Raises: ValueError on what is not all texts; a null is as good as nothing, but rare."""
    if not isinstance(given, dict) or not given.keys() <= known or "key" not in given:
        raise ValueError("unusual")
    if not all(isinstance(value, str) for value in given.values()) or not isinstance(tenant, str | None):
        raise ValueError("unusual")
    return _plain(given["key"], given.get("required_scopes"), given.get("ip"), given.get("audience"), tenant)


def _plain(key: str, scopes: str | None, ip: str | None, audience: str | None, tenant: str | None) -> Question:
    if len(key) > MAX_KEY_CHARS:
        raise ValueError("too long")
    asked = _known(scopes, ip, audience, tenant)
    return Question(key, asked.scopes, asked.ip, asked.audience)


@lru_cache(maxsize=4096)
def _known(scopes: str | None, ip: str | None, audience: str | None, tenant: str | None) -> Question:
    """What is wrong is not remembered. Raises: ValueError."""
    if tenant is not None:
        texts.tenant(tenant)
    return Question(
        "",
        None if scopes is None else texts.expression(scopes),
        None if ip is None else texts.ip(ip),
        None if audience is None else texts.owner(audience),
    )


def _modelled(payload: dict[str, Any]) -> Questions:
    """Raises: InvalidArgument."""
    from keyrail.operations.validate_key import ValidateRequest, questions_of
    from keyrail.triggers.request_models import as_request

    request: Any = as_request(ValidateRequest, payload)
    return questions_of(request)
