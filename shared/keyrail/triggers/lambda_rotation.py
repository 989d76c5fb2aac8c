"""AWS Secrets Manager rotating a secret: it calls the function `rotate` four times, a step each.

What the steps do: docs/aws.md "Secrets that AWS rotates".

Whoever may invoke the function may have it rotate: IAM is the proof, and the record of a key says which secret is its.
Shape: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda.html
"""

from typing import Any

from keyrail.domain.access import Principal
from keyrail.domain.errors import KeyrailError, Unavailable
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.operations.operation import Route
from keyrail.secret_rotation import SCOPE, run_step
from keyrail.secret_step import SecretStep
from keyrail.telemetry import choose_correlation_id
from keyrail.triggers.dispatch import Call
from keyrail.triggers.lambda_http import own_id
from keyrail.triggers.request_models import as_request
from keyrail.triggers.served import Served

_FIELDS = {  # any others are AWS's own business
    "SecretId": "secret_id",
    "ClientRequestToken": "token",
    "Step": "step",
    "RotationToken": "rotation_token",
}
_SECRETS_MANAGER = Principal("iam:secretsmanager", SYSTEM_TENANT, (SCOPE,))
_STEP = Route(name="rotate_secret", method="", path="", scope=SCOPE, run=run_step)  # in no catalogue


class RotationFailed(Exception):
    """Has Secrets Manager try again, from the first step on. Its text, a code and what is wrong, is for the account's
    owner: it also says what could not be reached, and why."""

    def __init__(self, error: KeyrailError) -> None:
        super().__init__(f"{error.code}: {error.detail if isinstance(error, Unavailable) else error.public}")


def is_rotation_event(event: dict[str, Any]) -> bool:
    """Any of its fields is enough: a malformed one must fail, and not be answered."""
    return not _FIELDS.keys().isdisjoint(event)


def run(served: Served, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Raises: RotationFailed."""
    given = {ours: event[theirs] for theirs, ours in _FIELDS.items() if theirs in event}
    chosen = choose_correlation_id(None, own_id(context)("x-correlation-id"))
    call = Call(chosen, lambda: None, None, lambda: as_request(SecretStep, given), _SECRETS_MANAGER)
    outcome = served.outcome(_STEP, call)
    if outcome.error is not None:
        raise RotationFailed(outcome.error)
    told: dict[str, Any] = outcome.reply.model_dump(mode="json")
    return told
