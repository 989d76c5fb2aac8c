"""A question to validate_key without its model, where the same was asked of another key before: building the model
takes half as long as deciding."""

from functools import lru_cache
from typing import Any

from keyrail.operations.validate_key import MAX_KEY_CHARS, Question, ValidateRequest, questions_of
from keyrail.triggers.strict_json import as_request


def question_of(key: str, scopes: str | None, ip: str | None, audience: str | None, tenant: str | None) -> Question:
    """`tenant` is checked only. Raises: InvalidArgument, as for a ValidateRequest."""
    asked = _known(scopes, ip, audience, tenant)
    if len(key) > MAX_KEY_CHARS:
        return _checked(key, scopes, ip, audience, tenant)
    return Question(key, asked.scopes, asked.ip, asked.audience)


@lru_cache(maxsize=4096)
def _known(scopes: str | None, ip: str | None, audience: str | None, tenant: str | None) -> Question:
    """What is wrong is not remembered."""
    return _checked("", scopes, ip, audience, tenant)


def _checked(key: str, scopes: str | None, ip: str | None, audience: str | None, tenant: str | None) -> Question:
    given = {"required_scopes": scopes, "ip": ip, "audience": audience, "tenant": tenant}
    payload = {"key": key, **{name: value for name, value in given.items() if value is not None}}
    request: Any = as_request(ValidateRequest, payload)
    return questions_of(request).asked[0]
