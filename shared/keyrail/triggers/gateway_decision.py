"""What a gateway should do with a request that shows a key: one answer, whatever protocol the gateway speaks.

The decision is validate_key's own. Required scopes, tenant and audience come from the gateway's configuration, never
from the client; what is told of the client to the service behind comes from us, never from the client either.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from keyrail.domain.decisions import Code, Decision
from keyrail.domain.errors import (
    InvalidArgument,
    KeyrailError,
    PermissionDenied,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from keyrail.judging import MAX_KEY_CHARS, Questions, told
from keyrail.telemetry import log
from keyrail.triggers.dispatch import Outcome
from keyrail.triggers.headers import credential_of, retirement_headers
from keyrail.triggers.problems import problem_body, problem_headers, status_of
from keyrail.triggers.questions import question_of

KEY_HEADERS = ("authorization", "x-api-key")
_UNREADABLE = "?"  # in place of a credential that can't be read: MALFORMED, as validate_key says
_ASKED = frozenset({"required_scopes", "tenant", "audience"})
_OURS = ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED")
_IDENTITY = re.compile(r"x[-_]keyrail[-_]", re.IGNORECASE)  # some proxies pass both spellings on as one
_IN_A_HEADER = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """`status` 200 lets the request pass, with `upstream` headers set and `removed` ones taken away; any other is for
    the client, with `body`. `downstream` headers are for the client in both cases."""

    status: int
    upstream: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    downstream: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Identity(NamedTuple):
    """Who passes: headers for the service behind the gateway, and for the client."""

    upstream: dict[str, str]
    downstream: dict[str, str]


def asked(headers: Mapping[str, str], ip: str | None, configured: Mapping[str, str]) -> Questions:
    """`headers` in lower case. A setting that is there but empty is wrong too: what it should have asked for is lost.
    Raises: InvalidArgument where the gateway's configuration is wrong."""
    unknown = configured.keys() - _ASKED
    if unknown:
        told = tuple({"field": "(unknown setting)", "problem": "is none of a gateway's"} for _ in unknown)
        raise InvalidArgument("The gateway's configuration is wrong.", code="INVALID_FIELD", fields=told)
    key, tenant = _presented(headers), configured.get("tenant")
    question = question_of(key, configured.get("required_scopes"), ip, configured.get("audience"), tenant)
    return Questions([question], tenant, is_batch=False)


def answer_to(
    outcome: Outcome, correlation_id: str, headers: Iterable[str] = (), *, remove_key: bool = False
) -> GatewayAnswer:
    """Of what validate_key judged. `headers`: the names of those that the client sent, for a gateway that takes away
    what we name."""
    if outcome.error is not None:
        return _refused(_for_the_client(outcome.error), correlation_id)
    judged: Any = outcome.reply  # Judged, since no other operation was asked
    decision: Decision = judged.decisions[0]
    if not decision:
        return _refused(_error(decision), correlation_id)
    return passed(identity_of(decision), headers, remove_key=remove_key)


def identity_of(decision: Decision) -> Identity:
    """Of a yes."""
    return Identity(_identity(decision), retirement_headers(*decision.retirement()))


def passed(identity: Identity, headers: Iterable[str], *, remove_key: bool) -> GatewayAnswer:
    """`headers` as for answer_to."""
    names = list(headers)
    removed = [name for name in names if _IDENTITY.match(name) and name.lower() not in identity.upstream]
    if remove_key:
        removed += [name for name in names if name.lower().replace("_", "-") in KEY_HEADERS]
    return GatewayAnswer(200, identity.upstream, tuple(removed), identity.downstream)


def _refused(error: KeyrailError, correlation_id: str) -> GatewayAnswer:
    status = status_of(error)
    headers = problem_headers(error, status) | {"X-Correlation-ID": correlation_id, "X-Keyrail-Code": str(error.code)}
    return GatewayAnswer(status, downstream=headers, body=problem_body(error, status, correlation_id))


def _for_the_client(error: KeyrailError) -> KeyrailError:
    """What the client may know of an error: where the gateway itself is at fault, only that there is no answer."""
    if error.kind in _OURS and isinstance(error, Unavailable):
        return error
    log(logging.ERROR, "gateway", code=error.code)
    return Unavailable(f"the gateway was refused: {error.code}")


def _presented(headers: Mapping[str, str]) -> str:
    try:
        return (credential_of(headers.get) or "")[:MAX_KEY_CHARS]  # more is never a key: cut, it is as malformed
    except KeyrailError:
        return _UNREADABLE


def _error(decision: Decision) -> KeyrailError:
    match decision.code:
        case Code.CONTEXT_DENIED:
            return PermissionDenied("Your key may not be used from here.", code=decision.code)
        case Code.INSUFFICIENT_SCOPE:
            return PermissionDenied("Your key lacks a scope that this needs.", code=decision.code)
        case Code.RATE_LIMITED | Code.QUOTA_EXCEEDED:
            limited = RateLimited("Your key's limit is used up.", retry_after_seconds=decision.retry_after_seconds or 1)
            limited.code = decision.code
            return limited
        case Code.MISSING:
            text = "Send your key as Authorization: Bearer <key> or X-API-Key."
            return Unauthenticated(text, code=decision.code)
    return Unauthenticated("Your key was refused.", code=decision.code)


def _identity(decision: Decision) -> dict[str, str]:
    """Set on every request that passes; what is beyond visible ASCII is percent-encoded, as in a URL."""
    fields = told(decision)
    return {
        "x-keyrail-key-id": fields["key_id"],
        "x-keyrail-generation": str(fields["generation"]),
        "x-keyrail-tenant": fields["tenant"],
        "x-keyrail-principal": quote(fields["principal"], safe=_IN_A_HEADER),
        "x-keyrail-scopes": " ".join(fields["scopes"]),
    }
