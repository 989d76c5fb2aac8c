"""What every trigger reads from headers and tells in them, whether HTTP or gRPC calls them so."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

from keyrail.domain.decisions import Code
from keyrail.domain.errors import InvalidArgument, Unauthenticated
from keyrail.triggers.dispatch import Outcome

_BEARER = re.compile(r"bearer +([^\s,]+) *", re.IGNORECASE)


def credential_of(header: Callable[[str], str | None]) -> str | None:
    """The caller's key from Authorization: Bearer (RFC 6750) or X-API-Key; both only where they agree.

    Raises: Unauthenticated, InvalidArgument.
    """
    authorization, api_key = header("authorization"), header("x-api-key")
    if authorization is None:
        return api_key
    bearer = _BEARER.fullmatch(authorization)
    if bearer is None:
        raise Unauthenticated("Authorization must be: Bearer <key>.", code=Code.MALFORMED)
    if api_key is not None and api_key != bearer[1]:
        raise InvalidArgument("Authorization and X-API-Key hold different keys.", code="MALFORMED_REQUEST")
    return bearer[1]


def sunset_headers(outcome: Outcome) -> dict[str, str]:
    """Deprecation (RFC 9745) and Sunset (RFC 8594) where a retiring generation was used: by the caller itself, or
    as the key that was validated."""
    deprecated_at, sunset_at = _retirement_of_reply(outcome.reply)
    if sunset_at is None and outcome.caller_decision is not None:
        deprecated_at, sunset_at = outcome.caller_decision.retirement()
    return retirement_headers(deprecated_at, sunset_at)


def retirement_headers(deprecated_at: datetime | None, sunset_at: datetime | None) -> dict[str, str]:
    if sunset_at is None:
        return {}
    headers = {"Sunset": format_datetime(sunset_at.astimezone(UTC), usegmt=True)}
    if deprecated_at is not None:
        headers["Deprecation"] = f"@{int(deprecated_at.timestamp())}"
    return headers


def _retirement_of_reply(reply: object) -> tuple[datetime | None, datetime | None]:
    return getattr(reply, "deprecated_at", None), getattr(reply, "sunset_at", None)
