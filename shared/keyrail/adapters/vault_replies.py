"""What Vault's answers mean. Only status and shape are looked at; its texts may quote the request, so they stay out.

absent   404 with a body of {"errors": []}, or the form of a deleted version
lost     400 with the text of a check-and-set mismatch: nothing else tells it from a bad request
denied   403: the token is expired or unknown, or its policy does not allow this
fault    any other status but 2xx (a 404 for a missing mount or namespace too), or a 2xx that is no JSON object
"""

import json
from typing import Any

from keyrail.adapters.vault_transport import Reply
from keyrail.domain.errors import Unavailable

MAYBE_DONE = (500, 502, 504)  # to a write, from a leader that lost its quorum or a gateway that lost its server

_CAS_MISMATCH = b"check-and-set parameter did not match"


class Denied(Unavailable):
    """403 with a token that is good, as far as anyone can tell: the policy does not allow this."""


def is_absent(reply: Reply) -> bool:
    if reply.status != 404:
        return False
    match parsed(reply):
        case {"errors": []}:
            return True
        case {"data": {"data": None, "metadata": {"version": int()}}}:  # deleted or destroyed, not purged
            return True
    return False


def is_cas_mismatch(reply: Reply) -> bool:
    return reply.status == 400 and _CAS_MISMATCH in reply.body


def outcome(reply: Reply) -> str:
    """The word for it in Metrics.vault_call."""
    if 200 <= reply.status < 300:
        return "ok"
    if reply.status == 403:
        return "denied"
    if is_cas_mismatch(reply):
        return "conflict"
    return "absent" if is_absent(reply) else "fault"


def document(reply: Reply) -> dict[str, Any]:
    """The JSON object of a good answer. Raises: Unavailable, Denied."""
    if not 200 <= reply.status < 300:
        raise refusal(reply)
    found = parsed(reply)
    if not isinstance(found, dict):
        raise Unavailable("Vault's answer is no JSON object")
    return found


def refusal(reply: Reply) -> Unavailable:
    if reply.status == 403:
        return Denied("Vault answered with 403: the token's policy does not allow this")
    return Unavailable(f"Vault answered with {reply.status}")


def parsed(reply: Reply) -> object:
    """None where it is no JSON, or nested deeper than Python will go."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
