"""What every PepperSource and RoleSource keeps to, over memory and over a real Vault."""

from collections.abc import Callable

import pytest

from keyrail.adapters.memory_documents import MemoryPepperSource, MemoryRoleSource
from keyrail.adapters.vault_documents import VaultPepperSource, VaultRoleSource
from keyrail.domain.digest import Peppers
from keyrail.domain.roles import BUILT_IN_ROLES, Roles
from keyrail.ports import PepperSource, RoleSource
from vault_mount import Mount

PEPPERS = Peppers(current=2, by_version={1: bytes(range(32)), 2: bytes(range(32, 64))})


@pytest.fixture(params=["memory", "vault"])
def peppers(request: pytest.FixtureRequest) -> Callable[[Peppers], PepperSource]:
    if request.param == "memory":
        return MemoryPepperSource
    mount: Mount = request.getfixturevalue("mount")

    def stored(given: Peppers) -> PepperSource:
        versions = {str(version): pepper.hex() for version, pepper in given.by_version.items()}
        mount.put("pepper", {"current": given.current, "versions": versions})
        return VaultPepperSource(request.getfixturevalue("vault_session"))

    return stored


@pytest.fixture(params=["memory", "vault"])
def roles(request: pytest.FixtureRequest) -> Callable[[Roles], RoleSource]:
    if request.param == "memory":
        return MemoryRoleSource
    mount: Mount = request.getfixturevalue("mount")

    def stored(given: Roles) -> RoleSource:
        mount.put("rbac/roles", {name: list(scopes) for name, scopes in given.by_name.items()})
        return VaultRoleSource(request.getfixturevalue("vault_session"))

    return stored


def test_peppers_are_read_as_they_were_given(peppers: Callable[[Peppers], PepperSource]) -> None:
    assert peppers(PEPPERS).read() == PEPPERS


def test_digests_of_both_versions_can_be_made(peppers: Callable[[Peppers], PepperSource]) -> None:
    read = peppers(PEPPERS).read()
    assert read.current_digest(b"a key") == PEPPERS.digest(b"a key", 2)
    assert read.digest(b"a key", 1) == PEPPERS.digest(b"a key", 1)


@pytest.mark.parametrize("given", [Roles(BUILT_IN_ROLES), Roles({}), Roles({"none": ()})])
def test_roles_are_read_as_they_were_given(roles: Callable[[Roles], RoleSource], given: Roles) -> None:
    assert roles(given).read() == given
