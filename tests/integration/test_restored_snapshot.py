"""docs/rotation.md, "A snapshot from before a revocation was restored": what it warns of, and what it says to do."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from canary import Canary
from deployed import Deployment

from keyrail.dev.openbao import OpenBao

NOTICED_SECONDS = 5.0


@pytest.fixture
def restored(own_vault: OpenBao, canary: Canary, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(own_vault, tmp_path, canary)
    try:
        made.start("issue_key", "validate_key", "revoke_key")
        yield made
    finally:
        made.stop()


def test_what_the_log_says_was_revoked_is_revoked_again(restored: Deployment) -> None:
    api, storage = restored.api, restored.root.sys
    kept, revoked = api.issue(), [api.issue() for _ in range(3)]
    snapshot = storage.take_raft_snapshot().content
    for key in revoked:
        api.revoke(key.key_id, reason="leaked").ok()
    assert [api.code_of(key.text) for key in revoked] == ["REVOKED"] * 3

    storage.force_restore_raft_snapshot(snapshot)

    until(lambda: [api.code_of(key.text) for key in revoked] == ["VALID"] * 3)  # the danger that the page warns of
    for key_id in told_as_revoked(restored):
        api.revoke(key_id, reason="revoked before the restore").ok()
    until(lambda: [api.code_of(key.text) for key in revoked] == ["REVOKED"] * 3)
    assert api.code_of(kept.text) == "VALID"


def told_as_revoked(deployment: Deployment) -> list[str]:
    """As the page's line of jq finds them."""
    (instance,) = deployment.all_of("revoke_key")
    lines = [json.loads(line) for line in instance.logs[0].read_text().splitlines() if line.startswith("{")]
    return [line["subject"] for line in lines if (line["kind"], line.get("event")) == ("audit", "key.revoked")]


def until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + NOTICED_SECONDS
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.1)
