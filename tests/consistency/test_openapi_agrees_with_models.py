"""What the API description accepts, the request models accept, and the other way round.

BEYOND holds what only a model can refuse: no schema says it.
"""

from typing import Any

import jsonschema_rs
import pytest
from test_openapi_document import validator

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.fields import Request
from keyrail.operations.import_key import ImportRequest
from keyrail.operations.issue_key import IssueRequest
from keyrail.operations.revoke_key import RevokeRequest
from keyrail.operations.rotate import RotateRequest
from keyrail.operations.update_key import UpdateRequest
from keyrail.operations.validate_key import ValidateRequest
from keyrail.triggers.request_models import as_request

Payload = dict[str, Any]
OWN = {"owner": "svc", "name": "a key"}
AT = "2030-01-31T12:00:00Z"

ACCEPTED: list[tuple[type[Request], Payload]] = [
    (IssueRequest, OWN),
    (IssueRequest, OWN | {"tenant": None, "expires_at": None, "lifetime_seconds": None, "rate": None, "quota": None}),
    (IssueRequest, OWN | {"expires_at": AT}),
    (IssueRequest, OWN | {"expires_at": AT, "lifetime_seconds": None}),
    (IssueRequest, OWN | {"lifetime_seconds": 1}),
    (IssueRequest, OWN | {"lifetime_seconds": 315360000}),
    (IssueRequest, OWN | {"not_before": "2030-01-31T12:00:00.123456+02:00"}),
    (
        IssueRequest,
        OWN | {"scopes": ["*", "keys:*", "*:read", "config:read:models/*", "config:read:*", "a:b:c/d.e_f-g"]},
    ),
    (IssueRequest, OWN | {"scopes": ["ml:infer"] * 64, "roles": ["a-role"] * 16}),
    (IssueRequest, OWN | {"labels": {"team": "search", "a/b.c_d-e": "x" * 200}}),
    (IssueRequest, OWN | {"labels": {f"n{n}": "x" for n in range(32)}}),
    (IssueRequest, OWN | {"metadata": {"a": None, "b": [1, 2.5, {"c": True}], "": ""}}),
    (IssueRequest, OWN | {"context": {}, "rotation": {}}),
    (IssueRequest, OWN | {"context": {"cidrs": ["10.0.0.0/8", "fd00::/8", "10.1.2.3"], "audiences": ["a"]}}),
    (IssueRequest, OWN | {"rate": {"requests": 1, "window_seconds": 1}}),
    (IssueRequest, OWN | {"rotation": {"grace_seconds": 0, "max_grace_seconds": 0}}),
    (IssueRequest, {"owner": "x" * 128, "name": "ü" * 200}),
    (ImportRequest, OWN | {"sha256": "0" * 64}),
    (ImportRequest, OWN | {"sha256": "0" * 64, "key": None, "expires_at": AT, "scopes": ["a:b"]}),
    (ImportRequest, OWN | {"key": "sk-of-any-form"}),
    (RotateRequest, {}),
    (RotateRequest, {"grace_seconds": None}),
    (RotateRequest, {"grace_seconds": 2592000}),
    (RevokeRequest, {}),
    (RevokeRequest, {"reason": "x"}),
    (UpdateRequest, {"state": "disabled"}),
    (UpdateRequest, {"state": "active", "state_reason": None}),
    (UpdateRequest, {"not_before": None, "expires_at": None, "rate": None, "quota": None}),
    (UpdateRequest, {"scopes": [], "roles": [], "labels": {}, "metadata": {}, "context": {}}),
    (UpdateRequest, {"name": "x", "owner": "x"}),
    (ValidateRequest, {"key": "x"}),
    (ValidateRequest, {"key": ""}),
    (ValidateRequest, {"key": "x" * 256, "batch": None}),
    (ValidateRequest, {"key": "x", "required_scopes": "a:b and (c:d or e:f)", "ip": "::1", "audience": "a"}),
    (ValidateRequest, {"key": "x", "required_scopes": None, "ip": None, "audience": None, "tenant": None}),
    (ValidateRequest, {"batch": [{"key": "x"}, {"key": "x", "ip": "10.0.0.1", "required_scopes": "a:b"}]}),
    (ValidateRequest, {"batch": [{"key": "x"}] * 100, "key": None, "ip": None, "tenant": "acme"}),
]

REFUSED: list[tuple[type[Request], Payload]] = [
    (IssueRequest, {}),
    (IssueRequest, {"owner": "svc"}),
    (IssueRequest, OWN | {"nmae": "x"}),
    (IssueRequest, OWN | {"name": 5}),
    (IssueRequest, OWN | {"name": ""}),
    (IssueRequest, OWN | {"name": "x" * 201}),
    (IssueRequest, OWN | {"name": "two\nlines"}),
    (IssueRequest, OWN | {"owner": "two words"}),
    (IssueRequest, OWN | {"owner": None}),
    (IssueRequest, OWN | {"tenant": "Acme"}),
    (IssueRequest, OWN | {"tenant": "x" * 64}),
    (IssueRequest, OWN | {"expires_at": AT, "lifetime_seconds": 60}),
    (IssueRequest, OWN | {"expires_at": "2030-01-31"}),
    (IssueRequest, OWN | {"expires_at": "2030-01-31T12:00:00"}),
    (IssueRequest, OWN | {"expires_at": 1900000000}),
    (IssueRequest, OWN | {"lifetime_seconds": "60"}),
    (IssueRequest, OWN | {"lifetime_seconds": 0}),
    (IssueRequest, OWN | {"lifetime_seconds": 315360001}),
    (IssueRequest, OWN | {"lifetime_seconds": True}),
    (IssueRequest, OWN | {"scopes": None}),
    (IssueRequest, OWN | {"scopes": ["noverb"]}),
    (IssueRequest, OWN | {"scopes": ["a:b\n"]}),
    (IssueRequest, OWN | {"scopes": ["x:" + "y" * 127]}),
    (IssueRequest, OWN | {"scopes": ["ml:infer"] * 65}),
    (IssueRequest, OWN | {"roles": ["Role"]}),
    (IssueRequest, OWN | {"roles": ["a-role"] * 17}),
    (IssueRequest, OWN | {"labels": {"Team": "x"}}),
    (IssueRequest, OWN | {"labels": {"team": ""}}),
    (IssueRequest, OWN | {"labels": {"team": 5}}),
    (IssueRequest, OWN | {"labels": {f"n{n}": "x" for n in range(33)}}),
    (IssueRequest, OWN | {"metadata": []}),
    (IssueRequest, OWN | {"metadata": None}),
    (IssueRequest, OWN | {"context": {"cidr": []}}),
    (IssueRequest, OWN | {"context": {"cidrs": "10.0.0.0/8"}}),
    (IssueRequest, OWN | {"context": {"cidrs": ["10.0.0.0/8"] * 33}}),
    (IssueRequest, OWN | {"rate": {"requests": 0, "window_seconds": 1}}),
    (IssueRequest, OWN | {"rate": {"requests": 1}}),
    (IssueRequest, OWN | {"rotation": {"grace_seconds": -1}}),
    (IssueRequest, OWN | {"rotation": {"grace_seconds": 2592001}}),
    (IssueRequest, OWN | {"rotation": None}),
    (ImportRequest, OWN),
    (ImportRequest, OWN | {"sha256": "0" * 64, "key": "sk-x"}),
    (ImportRequest, OWN | {"sha256": "0" * 63}),
    (ImportRequest, OWN | {"sha256": "A" * 64}),
    (ImportRequest, OWN | {"key": "x" * 257}),
    (ImportRequest, OWN | {"sha256": None}),
    (ImportRequest, OWN | {"sha256": "0" * 64, "expires_at": AT, "lifetime_seconds": 60}),
    (ImportRequest, OWN | {"sha256": "0" * 64, "idempotency_key": "x"}),
    (RotateRequest, {"grace_seconds": -1}),
    (RotateRequest, {"grace_seconds": 2592001}),
    (RotateRequest, {"grace_seconds": "60"}),
    (RevokeRequest, {"reason": None}),
    (RevokeRequest, {"reason": ""}),
    (UpdateRequest, {}),
    (UpdateRequest, {"state_reason": "alone"}),
    (UpdateRequest, {"name": "x", "state_reason": "without state"}),
    (UpdateRequest, {"state": "revoked"}),
    *(
        (UpdateRequest, {name: None})
        for name in ("state", "name", "owner", "scopes", "roles", "labels", "metadata", "context")
    ),
    (ValidateRequest, {}),
    (ValidateRequest, {"key": None}),
    (ValidateRequest, {"key": None, "batch": None}),
    (ValidateRequest, {"key": "x", "batch": [{"key": "x"}]}),
    (ValidateRequest, {"key": "x", "batch": [{"key": "x"}], "ip": "10.0.0.1"}),
    (ValidateRequest, {"key": "x" * 257}),
    (ValidateRequest, {"key": 5}),
    (ValidateRequest, {"key": "x", "ip": "localhost"}),
    (ValidateRequest, {"key": "x", "ip": "10.0.0.0/8"}),
    (ValidateRequest, {"key": "x", "required_scopes": ""}),
    (ValidateRequest, {"key": "x", "required_scopes": "a:b && c:d"}),
    (ValidateRequest, {"key": "x", "required_scopes": "a:b and " * 200}),
    (ValidateRequest, {"batch": []}),
    (ValidateRequest, {"batch": [{"key": "x"}] * 101}),
    (ValidateRequest, {"batch": [{}]}),
    (ValidateRequest, {"batch": [{"key": "x", "tenant": "acme"}]}),
    *(
        (ValidateRequest, {"batch": [{"key": "x"}], **more})
        for more in ({"required_scopes": "a:b"}, {"ip": "::1"}, {"audience": "a"})
    ),
]

BEYOND: list[tuple[type[Request], Payload]] = [
    (IssueRequest, OWN | {"context": {"cidrs": ["10.1.2.3/8"]}}),
    (IssueRequest, OWN | {"expires_at": "2030-01-31T12:00:00.1234567Z"}),
    (IssueRequest, OWN | {"metadata": {"a": "x" * 4096}}),
    (IssueRequest, OWN | {"rotation": {"grace_seconds": 60, "max_grace_seconds": 59}}),
    (ValidateRequest, {"key": "x", "required_scopes": "(a:b"}),
]


def is_accepted(model: type[Request], payload: Payload) -> bool:
    path = {"key_id": "0Keyrail0Unit0Id"} if "key_id" in model.model_fields else {}
    try:
        as_request(model, path | payload)
    except InvalidArgument:
        return False
    return True


@pytest.mark.parametrize(("model", "payload"), ACCEPTED)
def test_both_accept(model: type[Request], payload: Payload) -> None:
    validator(model.__name__).validate(payload)
    assert is_accepted(model, payload)


@pytest.mark.parametrize(("model", "payload"), REFUSED)
def test_both_refuse(model: type[Request], payload: Payload) -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        validator(model.__name__).validate(payload)
    assert not is_accepted(model, payload)


@pytest.mark.parametrize(("model", "payload"), BEYOND)
def test_only_the_model_can_refuse(model: type[Request], payload: Payload) -> None:
    validator(model.__name__).validate(payload)
    assert not is_accepted(model, payload)
