"""domain/access.py: who calls, and that nobody gets more than they have."""

from collections.abc import Callable, Iterable

import pytest
from builders import KEY_ID, ROLES, stored
from hypothesis import given
from hypothesis import strategies as st
from rights import SCOPES, Right, rights_of

from keyrail.domain.access import Caller
from keyrail.domain.errors import KeyrailError, NotFound, PermissionDenied
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.domain.roles import BUILT_IN_ROLES

SOME_SCOPES = st.lists(st.sampled_from(SCOPES), max_size=5).map(tuple)
TENANTS = st.sampled_from(["acme", "globex", SYSTEM_TENANT, "acme-2", "acm"])
OTHER_ID = "0Keyrail0OtherId"


def caller(*scopes: str, tenant: str = "acme", usable: bool = True) -> Caller:
    return Caller(KEY_ID, tenant, "team-ml", scopes, usable)


def refusal_of(step: Callable[[], object]) -> KeyrailError | None:
    try:
        step()
    except (PermissionDenied, NotFound) as error:
        return error
    return None


def rights(scopes: Iterable[str]) -> set[Right]:
    return {right for scope in scopes for right in rights_of(scope)}


class TestNobodyGivesWhatTheyDoNotHold:
    @given(SOME_SCOPES, SOME_SCOPES)
    def test_a_grant_that_is_allowed_adds_no_right(self, held: tuple[str, ...], granted: tuple[str, ...]) -> None:
        if refusal_of(lambda: caller(*held).require_all_of(granted)) is None:
            assert rights(granted) <= rights(held)
            assert "*" not in granted or "*" in held

    @given(SOME_SCOPES, SOME_SCOPES, SOME_SCOPES)
    def test_nor_does_a_chain_of_grants(
        self, first: tuple[str, ...], then: tuple[str, ...], last: tuple[str, ...]
    ) -> None:
        """Whoever may make a key may use it to make another."""

        def may_give(held: tuple[str, ...], granted: tuple[str, ...]) -> bool:
            return refusal_of(lambda: caller(*held).require_all_of(granted)) is None

        if may_give(first, then) and may_give(then, last):
            assert may_give(first, last)

    @given(SOME_SCOPES)
    def test_what_one_holds_one_may_give(self, held: tuple[str, ...]) -> None:
        caller(*held).require_all_of(held)
        caller(*held).require_all_of(iter(held))
        caller(*held).require_all_of([])

    @pytest.mark.parametrize("role", BUILT_IN_ROLES)
    def test_a_role_is_given_by_its_scopes(self, role: str) -> None:
        granted = ROLES.effective((), (role,))
        caller("*").require_all_of(granted)
        caller(*granted).require_all_of(granted)
        assert refusal_of(lambda: caller("ml:infer").require_all_of(granted)) is not None

    def test_the_refusal_names_what_is_missing_and_only_that(self) -> None:
        with pytest.raises(PermissionDenied, match="does not hold data:write, so") as refusal:
            caller("data:read").require_all_of(["data:read", "data:write"])
        assert refusal.value.code == "ESCALATION"


class TestScopes:
    @given(SOME_SCOPES, st.sampled_from(SCOPES))
    def test_nobody_does_what_they_have_no_right_to(self, held: tuple[str, ...], asked: str) -> None:
        if refusal_of(lambda: caller(*held).require_scope(asked)) is None:
            assert rights_of(asked) <= rights(held)

    def test_the_refusal_names_the_scope(self) -> None:
        with pytest.raises(PermissionDenied, match="keys:issue") as refusal:
            caller("keys:read").require_scope("keys:issue")
        assert refusal.value.code == "INSUFFICIENT_SCOPE"

    def test_a_key_may_act_on_itself_without_any(self) -> None:
        caller().require_scope_or_self("keys:revoke", KEY_ID)
        caller("keys:revoke").require_scope_or_self("keys:revoke", OTHER_ID)
        assert refusal_of(lambda: caller().require_scope_or_self("keys:revoke", OTHER_ID)) is not None


class TestTenants:
    @given(TENANTS, TENANTS)
    def test_nobody_acts_in_another_but_the_system(self, own: str, other: str) -> None:
        allowed = own in (other, SYSTEM_TENANT)
        assert caller("*", tenant=own).acts_in(other) is allowed
        refusal = refusal_of(lambda: caller("*", tenant=own).require_tenant(other))
        assert (refusal is None) is allowed
        assert refusal is None or refusal.code == "OTHER_TENANT"

    def test_nobody_but_the_system_acts_in_the_system(self) -> None:
        assert refusal_of(lambda: caller("*", tenant="acme").require_tenant(SYSTEM_TENANT)) is not None
        caller(tenant=SYSTEM_TENANT).require_tenant(SYSTEM_TENANT)

    @given(TENANTS, TENANTS)
    def test_a_key_of_another_is_as_unknown_as_one_that_is_not(self, own: str, other: str) -> None:
        key = stored(tenant=other)
        foreign = refusal_of(lambda: caller("*", tenant=own).require_visible(key, KEY_ID))
        unknown = refusal_of(lambda: caller("*", tenant=own).require_visible(None, KEY_ID))
        assert unknown is not None
        assert unknown.code == "KEY_NOT_FOUND"
        if own in (other, SYSTEM_TENANT):
            assert foreign is None
            assert caller(tenant=own).require_visible(key, KEY_ID) is key
        else:
            assert foreign is not None
            assert type(foreign) is type(unknown)
            assert (foreign.public, foreign.code) == (unknown.public, unknown.code)
            assert (foreign.detail, unknown.detail) == ("other_tenant", "unknown_id")  # for the log alone


class TestACallerWhoseKeyIsNotUsable:
    """Expired, disabled or revoked, but with the right secret."""

    @given(SOME_SCOPES, st.sampled_from(SCOPES))
    def test_has_no_scope(self, held: tuple[str, ...], asked: str) -> None:
        unusable = caller(*held, usable=False)
        assert refusal_of(lambda: unusable.require_scope(asked)) is not None
        assert refusal_of(lambda: unusable.require_scope_or_self(asked, OTHER_ID)) is not None

    def test_can_give_nothing(self) -> None:
        assert refusal_of(lambda: caller("*", usable=False).require_all_of(["ml:infer"])) is not None

    def test_may_still_act_on_its_own_key(self) -> None:
        unusable = caller(usable=False)
        unusable.require_scope_or_self("keys:revoke", KEY_ID)
        assert unusable.require_visible(stored(), KEY_ID).record.key_id == KEY_ID
