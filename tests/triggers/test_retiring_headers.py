"""A key on its retiring generation goes on working, and every reply tells its holder until when."""

from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
from deployment import NOW, Deployment, Issued
from werkzeug.test import TestResponse

GRACE_SECONDS = 3600


@pytest.fixture
def rotated(deployment: Deployment) -> tuple[Issued, str]:
    """The key as it was issued, at second 2, and its second generation, made at second 4."""
    issued = deployment.issue(scopes=["keys:read", "keys:validate"])
    return issued, deployment.do("rotate", issued.key_id, {"grace_seconds": GRACE_SECONDS})["key"]


def retirement(reply: TestResponse) -> tuple[str | None, str | None]:
    return reply.headers.get("Deprecation"), reply.headers.get("Sunset")


ROTATED_AT = NOW + timedelta(seconds=4)
ENDS_AT = ROTATED_AT + timedelta(seconds=GRACE_SECONDS)


def test_validating_it_tells_when(deployment: Deployment, rotated: tuple[Issued, str]) -> None:
    reply = deployment.call("validate_key", {"key": rotated[0].key})
    deprecation, sunset = retirement(reply)
    assert deprecation == f"@{int(ROTATED_AT.timestamp())}"  # RFC 9745: a structured date
    assert sunset is not None
    assert sunset.endswith(" GMT")  # RFC 8594: an HTTP date
    assert parsedate_to_datetime(sunset) == ENDS_AT
    assert reply.json["generation"] == 1
    assert reply.json["sunset_at"] == "2030-01-31T13:00:04Z"
    assert reply.json["deprecated_at"] == "2030-01-31T12:00:04Z"


def test_validating_the_new_one_tells_nothing(deployment: Deployment, rotated: tuple[Issued, str]) -> None:
    reply = deployment.call("validate_key", {"key": rotated[1]})
    assert retirement(reply) == (None, None)
    assert reply.json["generation"] == 2
    assert {"sunset_at", "deprecated_at"}.isdisjoint(reply.json)


def test_a_caller_on_it_is_told_with_every_reply(deployment: Deployment, rotated: tuple[Issued, str]) -> None:
    own, new = rotated[0].key, rotated[1]
    for operation, body in [("get_key", None), ("list_keys", None), ("validate_key", {"key": new})]:
        old_reply = deployment.call(operation, body, by=own, key_id=rotated[0].key_id)
        assert old_reply.status_code == 200
        assert parsedate_to_datetime(old_reply.headers["Sunset"]) == ENDS_AT
        assert retirement(deployment.call(operation, body, by=new, key_id=rotated[0].key_id)) == (None, None)


def test_the_end_is_that_of_the_key_where_that_comes_first(deployment: Deployment) -> None:
    end = NOW + timedelta(minutes=10)
    issued = deployment.issue(expires_at=end.isoformat())
    deployment.do("rotate", issued.key_id, {"grace_seconds": GRACE_SECONDS})
    assert parsedate_to_datetime(deployment.call("validate_key", {"key": issued.key}).headers["Sunset"]) == end


def test_a_caller_on_it_is_told_with_a_refusal_too(deployment: Deployment, rotated: tuple[Issued, str]) -> None:
    reply = deployment.call("get_key", by=rotated[0].key)
    assert reply.status_code == 404
    assert parsedate_to_datetime(reply.headers["Sunset"]) == ENDS_AT
