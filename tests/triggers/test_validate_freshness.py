"""What a warm instance answers after a change, and while the store is away."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from deployment import PAUSE_SECONDS, Deployment, Issued, unavailable

from keyrail.domain.key_format import KeyFormat, new_secret

MAX_STALE_SECONDS = 5.0
POLL_SECONDS = 1.0


@pytest.fixture
def held(deployment: Deployment) -> Issued:
    """A key that this instance has just validated, and so holds; the admin's, who asks, is held too."""
    issued = deployment.issue()
    assert [deployment.code_of(issued.key) for _ in range(2)] == ["VALID", "VALID"]
    return issued


def code_after(deployment: Deployment, seconds: float, key: str) -> str:
    deployment.wait(seconds - PAUSE_SECONDS)
    return deployment.code_of(key)


@pytest.fixture
def reads(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    keys, found = deployment.services.keys, []
    find = keys.find

    def counted(key_id: str) -> Any:
        found.append(key_id)
        return find(key_id)

    monkeypatch.setattr(keys, "find", counted)
    return found


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("revoke_key", {}, "REVOKED"),
        ("update_key", {"state": "disabled"}, "DISABLED"),
        ("update_key", {"expires_at": "2030-01-31T12:00:01Z"}, "EXPIRED"),
        ("rotate", {"grace_seconds": 0}, "ROTATED_OUT"),
    ],
)
def test_a_change_holds_here_within_about_a_second(
    deployment: Deployment, held: Issued, operation: str, body: object, code: str
) -> None:
    deployment.do(operation, held.key_id, body)
    assert code_after(deployment, POLL_SECONDS + 0.01, held.key) == code


def test_a_held_key_costs_no_reading(deployment: Deployment, held: Issued, reads: list[str]) -> None:
    for _ in range(100):
        assert code_after(deployment, 0.01, held.key) == "VALID"
    assert reads == []


def test_a_key_just_rotated_is_valid_at_once_where_the_record_was_held(deployment: Deployment, held: Issued) -> None:
    new = deployment.do("rotate", held.key_id)["key"]
    assert code_after(deployment, 0.001, new) == "VALID"
    assert code_after(deployment, 0.001, held.key) == "VALID"


def test_a_wrong_secret_asks_the_store_once_each_time(deployment: Deployment, held: Issued, reads: list[str]) -> None:
    wrong = KeyFormat().assemble(held.key_id, new_secret())
    for asked in (1, 2):
        assert code_after(deployment, 0.01, wrong) == "NOT_FOUND"
        assert reads == [held.key_id] * asked
    assert code_after(deployment, 0.01, held.key) == "VALID"
    assert len(reads) == 2


def test_an_unknown_id_asks_the_store_once_each_time(deployment: Deployment, held: Issued, reads: list[str]) -> None:
    unknown = KeyFormat().assemble("1" * 16, new_secret())
    for asked in (1, 2):
        assert code_after(deployment, 0.01, unknown) == "NOT_FOUND"
        assert reads == ["1" * 16] * asked


class TestWhileTheStoreIsAway:
    @pytest.fixture(autouse=True)
    def away(self, deployment: Deployment, held: Issued) -> Iterator[Callable[[], None]]:
        """Gives what brings the store back."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(deployment.services.keys, "find", unavailable)
            patched.setattr(deployment.services.feed, "head", unavailable)
            yield patched.undo

    def status_after(self, deployment: Deployment, seconds: float, key: str) -> int:
        deployment.wait(seconds - PAUSE_SECONDS)
        return deployment.call("validate_key", {"key": key}).status_code

    def test_a_held_key_is_answered_for_max_stale_and_then_503(self, deployment: Deployment, held: Issued) -> None:
        assert code_after(deployment, MAX_STALE_SECONDS - 0.1, held.key) == "VALID"
        for _ in range(3):
            assert self.status_after(deployment, 0.2, held.key) == 503

    def test_another_one_is_503_at_once_and_never_401(self, deployment: Deployment, held: Issued) -> None:
        for key in (KeyFormat().assemble("1" * 16, new_secret()), KeyFormat().assemble(held.key_id, new_secret())):
            assert self.status_after(deployment, 0.01, key) == 503
            assert deployment.call("validate_key", {"key": held.key}, by=key).status_code == 503

    def test_a_wrong_secret_makes_nobody_forget_the_right_one(self, deployment: Deployment, held: Issued) -> None:
        wrong = KeyFormat().assemble(held.key_id, new_secret())
        for _ in range(5):
            assert self.status_after(deployment, 0.1, wrong) == 503
            assert code_after(deployment, 0.1, held.key) == "VALID"

    def test_an_expiry_holds_all_the_same(self, deployment: Deployment, away: Callable[[], None]) -> None:
        away()
        short = deployment.issue(lifetime_seconds=4)
        assert deployment.code_of(short.key) == "VALID"
        deployment.services.feed.head = unavailable  # type: ignore[method-assign]
        assert code_after(deployment, 2.1, short.key) == "EXPIRED"

    def test_back_again_everything_is_answered(
        self, deployment: Deployment, held: Issued, away: Callable[[], None]
    ) -> None:
        assert self.status_after(deployment, MAX_STALE_SECONDS + 1, held.key) == 503
        away()
        assert code_after(deployment, POLL_SECONDS, held.key) == "VALID"
