"""domain/roles.py: what a role gives."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrail.domain.roles import BUILT_IN_ROLES, Roles
from keyrail.domain.scopes import SCOPE, holds, missing_scopes

ROLES = Roles({"reader": ("data:read", "ml:infer"), "writer": ("data:write", "data:read"), "empty": ()})
NAMES = st.lists(st.sampled_from(["reader", "writer", "empty", "no-such-role"]), max_size=4).map(tuple)
DIRECT = st.lists(st.sampled_from(["data:read", "keys:read"]), max_size=3).map(tuple)


@given(DIRECT, NAMES)
def test_a_key_has_its_own_scopes_and_those_of_its_roles_and_no_others(
    scopes: tuple[str, ...], roles: tuple[str, ...]
) -> None:
    expected = set(scopes).union(*(ROLES.by_name.get(role, ()) for role in roles))
    assert set(ROLES.effective(scopes, roles)) == expected


def test_a_scope_given_twice_is_listed_once_in_the_order_given() -> None:
    assert ROLES.effective(("data:read",), ("writer", "reader")) == ("data:read", "data:write", "ml:infer")


def test_a_role_that_no_longer_exists_gives_nothing() -> None:
    assert ROLES.effective((), ("no-such-role",)) == ()
    assert ROLES.scopes_of(["no-such-role", "empty"]) == ()


class TestBuiltInRoles:
    def test_are_of_well_formed_scopes(self) -> None:
        for scopes in BUILT_IN_ROLES.values():
            assert scopes
            assert all(SCOPE.fullmatch(scope) for scope in scopes)

    def test_only_admin_holds_everything(self) -> None:
        assert [name for name, scopes in BUILT_IN_ROLES.items() if holds(scopes, "*")] == ["admin"]

    @pytest.mark.parametrize(("holder", "granted"), [*permutations(BUILT_IN_ROLES, 2)])
    def test_none_but_admin_holds_what_another_gives(self, holder: str, granted: str) -> None:
        """So nobody can make a key of a role beside its own."""
        missing = missing_scopes(BUILT_IN_ROLES[holder], BUILT_IN_ROLES[granted])
        assert (missing == []) is (holder == "admin")

    @pytest.mark.parametrize(
        ("role", "scope"),
        [
            ("issuer", "keys:update"),
            ("issuer", "keys:revoke"),
            ("issuer", "keys:rotate"),
            ("operator", "keys:issue"),
            ("auditor", "keys:validate"),
            ("auditor", "config:read"),
            ("auditor", "config:write"),
            ("service", "keys:read"),
            ("service", "config:write"),
        ],
    )
    def test_do_not_give_what_their_name_does_not_say(self, role: str, scope: str) -> None:
        assert not holds(BUILT_IN_ROLES[role], scope)
