"""What is said of a wrong field never repeats what was sent: it may be a key in the wrong place."""

from typing import Any

import pytest

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.fields import Request
from keyrail.operations.issue_key import IssueRequest
from keyrail.operations.update_key import UpdateRequest
from keyrail.operations.validate_key import ValidateRequest
from keyrail.triggers.request_models import as_request

SECRET = "SecretSecretSecretSecretSecret12"
KEY = f"krl_live_0Keyrail0Unit0Id_{SECRET}" + "abc123"
OWN = {"owner": "svc", "name": "a key"}


@pytest.mark.parametrize(
    ("model", "payload"),
    [
        (IssueRequest, OWN | {"context": {"cidrs": [KEY]}}),
        (IssueRequest, OWN | {"context": {"audiences": [KEY]}}),
        (IssueRequest, {"owner": KEY, "name": "a key"}),
        (IssueRequest, {"owner": "svc", "name": f"it is {KEY}"}),
        (IssueRequest, OWN | {"tenant": KEY}),
        (IssueRequest, OWN | {"scopes": [KEY]}),
        (IssueRequest, OWN | {"roles": [KEY]}),
        (IssueRequest, OWN | {"labels": {KEY: "x"}}),
        (IssueRequest, OWN | {"labels": {"team": KEY}}),
        (IssueRequest, OWN | {"labels": {KEY: KEY}}),
        (IssueRequest, OWN | {"labels": {KEY: 1}}),
        (IssueRequest, OWN | {"metadata": {"deep": [{"down": KEY}]}}),
        (IssueRequest, OWN | {"expires_at": KEY}),
        (IssueRequest, OWN | {"lifetime_seconds": KEY}),
        (IssueRequest, OWN | {KEY: 1}),
        (IssueRequest, OWN | {"rate": {KEY: 1}}),
        (IssueRequest, OWN | {"idempotency_key": KEY + " "}),
        (UpdateRequest, {"key_id": KEY, "state": "disabled"}),
        (UpdateRequest, {"key_id": "0Keyrail0Unit0Id", "state": KEY}),
        (ValidateRequest, {"key": "x", "ip": KEY}),
        (ValidateRequest, {"key": "x", "required_scopes": KEY}),
        (ValidateRequest, {"key": KEY * 5}),
        (ValidateRequest, {"key": [KEY]}),
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(model: type[Request], payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        as_request(model, payload)
    assert refused.value.fields
    assert SECRET not in f"{refused.value.public} {refused.value.detail} {refused.value.fields}"


def test_a_time_that_there_is_not_is_refused_in_our_own_words() -> None:
    with pytest.raises(InvalidArgument) as refused:
        as_request(IssueRequest, OWN | {"expires_at": "2030-02-31T12:00:00Z"})
    (problem,) = refused.value.fields
    assert problem == {"field": "expires_at", "problem": "is no time that there is, or out of range"}
