"""Issues whose replies are lost and repeated with their Idempotency-Key make one key each, however they overlap."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from deployed import FULL, Deployment
from http_api import Api, idempotent

ISSUES = 1000 if FULL else 120
AT_A_TIME = 8


def test_as_many_keys_as_idempotency_keys(deployment: Deployment) -> None:
    api = deployment.api.of_tenant("lost-replies")
    chance = random.Random(20)
    lost = [chance.random() < 0.5 for _ in range(ISSUES)]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        key_ids = list(pool.map(lambda number: _issued(api, f"issue-{number}", lose=lost[number]), range(ISSUES)))
    listed = [view["key_id"] for view in api.list_all()]
    print(f"\n{ISSUES} issues, {sum(lost)} first replies dropped, each sent again: {len(listed)} keys listed")
    assert len(listed) == ISSUES
    assert Counter(listed) == Counter(key_ids)


def _issued(api: Api, idempotency_key: str, *, lose: bool) -> str:
    """The key id of an issue that was sent twice; the second overlaps with the first where that one's reply is lost."""
    if lose:
        api.hang_up("issue_key", "/v1/keys", api.a_key(), idempotent(idempotency_key))
        return str(api.try_issue(idempotency_key).ok()["key_id"])
    first, second = api.try_issue(idempotency_key), api.try_issue(idempotency_key)
    assert (first.status, second.status) == (201, 200)
    assert "key" not in second.json
    assert second.json["replayed"]
    assert first.json["key_id"] == second.json["key_id"]
    return str(first.json["key_id"])


def test_a_lost_secret_is_healed_by_a_rotation_of_the_key_id(deployment: Deployment) -> None:
    api = deployment.api.of_tenant("healed")
    api.hang_up("issue_key", "/v1/keys", api.a_key(), idempotent("once"))
    repeated = api.try_issue("once").ok()
    key = repeated.get("key") or api.rotate(repeated["key_id"], grace_seconds=0).ok()["key"]
    assert api.code_of(key) == "VALID"
    (view,) = api.list_all()
    assert [each["state"] for each in view["generations"]][-1] == "current"


def test_fifty_at_once_with_one_idempotency_key_make_one_key(deployment: Deployment) -> None:
    api = deployment.api.of_tenant("fifty")
    with ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(lambda _: api.try_issue("the-same"), range(50)))
    assert Counter(reply.status for reply in replies) == {201: 1, 200: 49}
    assert len({reply.json["key_id"] for reply in replies}) == 1
    assert len(api.list_all()) == 1


def test_another_body_with_a_used_idempotency_key_is_a_conflict(deployment: Deployment) -> None:
    api = deployment.api.of_tenant("another-body")
    api.try_issue("mine").ok()
    assert api.try_issue("mine", name="something else").code == "IDEMPOTENCY_CONFLICT"
    assert len(api.list_all()) == 1
