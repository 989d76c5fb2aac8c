"""domain/decisions.py: may this key be used for that, now?"""

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, ClassVar

import pytest
from builders import KEY_ID, NOW, PEPPERS, ROLES, SECOND, decided, generation, presented, record, stored, tombstone

from keyrail.domain.decisions import Code, Decision, Need, decide
from keyrail.domain.digest import Peppers
from keyrail.domain.records import Context, GenerationState, StoredKey
from keyrail.domain.scopes import parse_expression


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a use of a key, and the code it has when nothing else is."""

    name: str
    code: Code
    record: dict[str, Any] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)
    need: dict[str, Any] = field(default_factory=dict)
    revoked: bool = False
    secret: int = 1


IN_ORDER = [
    Fault("wrong secret", Code.NOT_FOUND, secret=2),
    Fault("other tenant", Code.NOT_FOUND, need={"tenant": "globex"}),
    Fault("revoked", Code.REVOKED, revoked=True),
    Fault("disabled", Code.DISABLED, record={"state": "disabled"}),
    Fault("expired", Code.EXPIRED, record={"expires_at": NOW}),
    Fault("early", Code.NOT_YET_VALID, record={"not_before": NOW + SECOND}),
    Fault("rotated out", Code.ROTATED_OUT, generation={"state": "retired", "retire_at": NOW}),
    Fault("context", Code.CONTEXT_DENIED, record={"context": Context(cidrs=("10.0.0.0/8",))}),
    Fault("scope", Code.INSUFFICIENT_SCOPE, need={"scopes": parse_expression("data:admin")}),
]


def outcome(*faults: Fault) -> Decision:
    changes: dict[str, dict[str, Any]] = {"record": {}, "generation": {}, "need": {"tenant": "acme"}}
    for fault in faults:
        changes["record"] |= fault.record
        changes["generation"] |= fault.generation
        changes["need"] |= fault.need
    revoked = tombstone() if any(fault.revoked for fault in faults) else None
    key = stored(generation(1, **changes["generation"]), tombstone=revoked, **changes["record"])
    return decided(key, max([1, *(fault.secret for fault in faults)]), Need(**changes["need"]))


def test_a_key_without_a_fault_is_valid() -> None:
    decision = outcome()
    assert decision.code is Code.VALID
    assert decision


@pytest.mark.parametrize("fault", IN_ORDER, ids=lambda fault: fault.name)
def test_each_fault_has_its_code(fault: Fault) -> None:
    decision = outcome(fault)
    assert decision.code is fault.code
    assert not decision


@pytest.mark.parametrize(("first", "second"), [*combinations(IN_ORDER, 2)], ids=lambda fault: fault.name)
def test_of_two_faults_the_earlier_one_is_told(first: Fault, second: Fault) -> None:
    assert outcome(first, second).code is first.code
    assert outcome(second, first).code is first.code


def test_of_all_faults_the_first_is_told() -> None:
    for at, fault in enumerate(IN_ORDER):
        assert outcome(*IN_ORDER[at:]).code is fault.code


def test_an_unknown_id_is_not_found_whatever_is_asked() -> None:
    for fault in IN_ORDER:
        assert decided(None, need=Need(**fault.need)).code is Code.NOT_FOUND


class TestWhoDoesNotHoldTheKey:
    def test_learns_the_same_of_an_unknown_id_a_wrong_secret_and_another_tenant(self) -> None:
        unknown = decided(None)
        wrong_secret = decided(stored(), 2)
        other_tenant = decided(stored(), need=Need(tenant="globex"))
        assert [d.reason for d in (unknown, wrong_secret, other_tenant)] == [
            "unknown_id",
            "wrong_secret",
            "other_tenant",
        ]
        assert unknown._replace(reason="") == wrong_secret._replace(reason="") == other_tenant._replace(reason="")
        assert unknown == Decision(Code.NOT_FOUND, "unknown_id", presented_id=KEY_ID)

    @pytest.mark.parametrize("fault", IN_ORDER[2:], ids=lambda fault: fault.name)
    def test_learns_no_state_of_it(self, fault: Fault) -> None:
        assert outcome(IN_ORDER[0], fault) == outcome(IN_ORDER[0])
        assert outcome(IN_ORDER[1], fault) == outcome(IN_ORDER[1])

    def test_learns_nothing_from_the_work_done(self) -> None:
        """One HMAC for an unknown id, for a right and for a wrong secret, however many generations there are."""
        many = stored(generation(1, "retired"), generation(2, "retiring", retire_at=NOW), generation(3))
        for key, number in [(None, 1), (stored(), 1), (stored(), 2), (many, 1), (many, 3), (many, 4)]:
            counted = _Counting(1, PEPPERS.by_version)
            decide(presented(number), key, counted, ROLES, Need(), NOW)
            assert counted.used == [1]
            counted.used.clear()


class TestGenerations:
    KEY = stored(
        generation(1, "retired", retire_at=NOW - SECOND),
        generation(2, "retiring", retire_at=NOW + SECOND),
        generation(3, "current"),
        generation(4, "pending"),
    )

    @pytest.mark.parametrize(
        ("number", "code"),
        [(1, Code.ROTATED_OUT), (2, Code.VALID), (3, Code.VALID), (4, Code.VALID), (5, Code.NOT_FOUND)],
        ids=["retired", "retiring", "current", "pending", "unknown"],
    )
    def test_each_has_its_code(self, number: int, code: Code) -> None:
        decision = decided(self.KEY, number)
        assert decision.code is code
        assert decision.stored is (None if code is Code.NOT_FOUND else self.KEY)
        assert (decision.generation.n if decision.generation else 5) == number

    @pytest.mark.parametrize(
        ("at", "code"),
        [(NOW, Code.VALID), (NOW + SECOND - SECOND / 10**6, Code.VALID), (NOW + SECOND, Code.ROTATED_OUT)],
    )
    def test_a_grace_ends_exactly_at_retire_at(self, at: Any, code: Code) -> None:
        assert decided(self.KEY, 2, now=at).code is code

    def test_a_retiring_one_tells_since_when_and_until_when(self) -> None:
        key = stored(generation(1, "retiring", retire_at=NOW + SECOND), generation(2, activated_at=NOW - SECOND))
        assert decided(key, 1).retirement() == (NOW - SECOND, NOW + SECOND)
        assert decided(key, 2).retirement() == (None, None)
        assert decided(key, 3).retirement() == (None, None)

    def test_a_retired_one_stays_out_whatever_its_time_says(self) -> None:
        key = stored(generation(1, "retired", retire_at=NOW + SECOND), generation(2))
        assert decided(key, 1).code is Code.ROTATED_OUT

    def test_a_retiring_one_without_an_end_has_ended(self) -> None:
        """No such record is written; were there one, its grace would never end."""
        assert decided(stored(generation(1, "retiring"), generation(2)), 1).code is Code.ROTATED_OUT

    def test_each_is_compared_under_the_pepper_it_names(self) -> None:
        old = generation(1, "retiring", retire_at=NOW + SECOND)
        new = generation(2, pepper_version=2, digest=PEPPERS.digest(presented(2).body, 2))
        assert decided(stored(old, new), 1).code is Code.VALID
        assert decided(stored(old, new), 2).code is Code.VALID
        assert decided(stored(replace(new, pepper_version=1)), 2).code is Code.NOT_FOUND

    def test_one_of_an_unknown_pepper_cannot_be_decided(self) -> None:
        """A pepper newer than those held here, for one: a "no" would refuse a good key."""
        with pytest.raises(KeyError, match="9"):
            decided(stored(generation(1, pepper_version=9)))

    @pytest.mark.parametrize("state", ["retired", "retiring"])
    def test_one_that_is_out_and_whose_pepper_is_gone_takes_no_other_along(self, state: GenerationState) -> None:
        key = stored(generation(1, state, pepper_version=9, retire_at=NOW), generation(2))
        assert decided(key, 2).code is Code.VALID
        assert decided(key, 1).code is Code.NOT_FOUND


class TestTime:
    def test_a_key_ends_exactly_at_expires_at(self) -> None:
        key = stored(expires_at=NOW)
        assert decided(key, now=NOW - SECOND / 10**6).code is Code.VALID
        assert decided(key, now=NOW).code is Code.EXPIRED

    def test_a_key_begins_exactly_at_not_before(self) -> None:
        key = stored(not_before=NOW)
        assert decided(key, now=NOW - SECOND / 10**6).code is Code.NOT_YET_VALID
        assert decided(key, now=NOW).code is Code.VALID


class TestScopes:
    def test_of_the_key_and_of_its_roles_count(self) -> None:
        decision = decided(stored(roles=("auditor",)), need=Need(scopes=parse_expression("ml:infer and keys:read")))
        assert decision.code is Code.VALID
        assert set(decision.scopes) == {"ml:infer", "data:read", "keys:read", "config:list"}

    def test_of_a_role_that_is_gone_do_not(self) -> None:
        decision = decided(stored(scopes=(), roles=("gone",)), need=Need(scopes=parse_expression("ml:infer")))
        assert decision.code is Code.INSUFFICIENT_SCOPE

    def test_are_told_of_a_key_whose_secret_was_right_and_of_no_other(self) -> None:
        assert decided(stored(state="disabled")).scopes == ("ml:infer", "data:read")
        assert decided(stored(), 2).scopes == ()

    def test_none_asked_is_none_lacking(self) -> None:
        assert decided(stored(scopes=()))


def test_a_decision_shows_no_secret() -> None:
    shown = repr(decided(stored()))
    assert record().generations[0].digest not in shown
    assert KEY_ID in shown


def test_the_codes_are_the_words_on_the_wire() -> None:
    assert all(code == code.name for code in Code)
    made_here = {outcome().code, *(fault.code for fault in IN_ORDER)}
    assert set(Code) - made_here == {
        *(Code.MISSING, Code.MALFORMED),  # before a record is asked for
        *(Code.RATE_LIMITED, Code.QUOTA_EXCEEDED, Code.UNAVAILABLE),  # after the decision, or instead of it
    }
    assert [code for code in Code if Decision(code, "")] == [Code.VALID]


class _Counting(Peppers):
    """Peppers that note each use of theirs."""

    used: ClassVar[list[int]] = []

    def digest(self, body: bytes, version: int) -> str:
        self.used.append(version)
        return Peppers.digest(self, body, version)


def test_the_same_question_has_the_same_answer_every_time() -> None:
    key: StoredKey = stored(context=Context(cidrs=("10.0.0.0/8",)))
    for ip, code in [("10.1.2.3", Code.VALID), ("11.1.2.3", Code.CONTEXT_DENIED)] * 3:
        assert decided(key, need=Need(ip=ip)).code is code
