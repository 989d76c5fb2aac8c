"""KEYRAIL_MAX_LIFETIME_SECONDS=0: a deployment that allows keys without end; still nobody gets one unasked."""

import pytest
from deployment import SETTINGS, Deployment

CENTURY_SECONDS = 100 * 365 * 86_400


@pytest.fixture
def settings() -> dict[str, str]:
    return SETTINGS | {"KEYRAIL_MAX_LIFETIME_SECONDS": "0", "KEYRAIL_DEFAULT_LIFETIME_SECONDS": "3600"}


def test_a_key_has_the_usual_life_where_none_is_asked(deployment: Deployment) -> None:
    key = deployment.issue().key
    deployment.wait(3600)
    assert deployment.code_of(key) == "EXPIRED"


def test_its_end_is_taken_away_by_hand(deployment: Deployment) -> None:
    issued = deployment.issue()
    view = deployment.do("update_key", issued.key_id, {"expires_at": None})
    assert {"expires_at", "lifetime_seconds"}.isdisjoint(view)
    rotated = deployment.do("rotate", issued.key_id)
    assert "expires_at" not in rotated
    deployment.wait(CENTURY_SECONDS)
    assert deployment.code_of(rotated["key"]) == "VALID"


def test_an_end_far_away_is_allowed(deployment: Deployment) -> None:
    key_id = deployment.issue(expires_at="9999-12-31T23:59:59Z").key_id
    assert deployment.do("get_key", key_id)["expires_at"] == "9999-12-31T23:59:59Z"
