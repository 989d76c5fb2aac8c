"""POST /v1/keys/{key_id}/revoke: once is for good, and again is the same answer."""

from deployment import Deployment


def test_again_is_the_first_answer(deployment: Deployment) -> None:
    key_id = deployment.issue().key_id
    first = deployment.do("revoke_key", key_id, {"reason": "leaked"})
    assert first == {
        "key_id": key_id,
        "state": "revoked",
        "revoked_at": first["revoked_at"],
        "revoked_by": first["revoked_by"],
        "reason": "leaked",
    }
    by = deployment.issue(scopes=["keys:revoke"]).key
    assert deployment.do("revoke_key", key_id, {"reason": "again"}, by=by) == first
    assert deployment.do("revoke_key", key_id) == first


def test_the_record_tells_it(deployment: Deployment) -> None:
    key_id = deployment.issue().key_id
    revoked = deployment.do("revoke_key", key_id, {"reason": "leaked"})
    view = deployment.do("get_key", key_id)
    assert (view["state"], view["state_reason"], view["state_by"]) == ("revoked", "leaked", revoked["revoked_by"])
    assert view["state_at"] == revoked["revoked_at"]


def test_it_needs_no_reason_and_no_body(deployment: Deployment) -> None:
    key_id = deployment.issue().key_id
    assert deployment.do("revoke_key", key_id, data=b"")["reason"] == "unspecified"


def test_all_generations_end(deployment: Deployment) -> None:
    issued = deployment.issue()
    second = deployment.do("rotate", issued.key_id)["key"]
    deployment.do("revoke_key", issued.key_id)
    assert [deployment.code_of(key) for key in (issued.key, second)] == ["REVOKED", "REVOKED"]


def test_again_tells_the_feed_again(deployment: Deployment) -> None:
    """The first time may have been cut off between the tombstone and the feed."""
    key_id = deployment.issue().key_id
    for seq in (1, 2):
        deployment.do("revoke_key", key_id)
        head = deployment.services.feed.head()
        assert (head.seq, head.ring[-1]) == (seq, key_id)


def test_no_function_brings_it_back(deployment: Deployment) -> None:
    issued = deployment.issue()
    deployment.do("revoke_key", issued.key_id)
    for operation, body in [("update_key", {"state": "active"}), ("rotate", {}), ("rotate", {"grace_seconds": 0})]:
        assert deployment.call(operation, body, key_id=issued.key_id).status_code == 409
    assert deployment.code_of(issued.key) == "REVOKED"
