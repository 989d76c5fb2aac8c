"""What every PepperSource and RoleSource keeps to, over memory, a real Vault, DynamoDB, Secrets Manager and KMS."""

import secrets
from collections.abc import Callable

import pytest

from keyrail.adapters.dynamodb_documents import DynamoDocuments, DynamoRoleSource
from keyrail.adapters.memory_documents import MemoryPepperSource, MemoryRoleSource
from keyrail.adapters.secrets_manager_pepper import SecretsManagerPepper, SecretsManagerPepperPlace
from keyrail.adapters.vault_documents import VaultPepperSource, VaultRoleSource
from keyrail.domain.digest import Peppers
from keyrail.domain.pepper_document import PepperVersions
from keyrail.domain.roles import BUILT_IN_ROLES, Roles
from keyrail.ports import PepperSource, RoleSource
from vault_mount import Mount

PEPPERS = Peppers(current=2, by_version={1: bytes(range(32)), 2: bytes(range(32, 64))})


@pytest.fixture(params=["memory", "vault", "secretsmanager"])
def peppers(request: pytest.FixtureRequest) -> Callable[[Peppers], PepperSource]:
    if request.param == "memory":
        return MemoryPepperSource
    if request.param == "secretsmanager":
        endpoint: str = request.getfixturevalue("aws_endpoint")
        request.getfixturevalue("aws_credentials")
        return lambda given: in_secrets_manager(given, endpoint)
    mount: Mount = request.getfixturevalue("mount")

    def stored(given: Peppers) -> PepperSource:
        versions = {str(version): pepper.hex() for version, pepper in given.by_version.items()}
        mount.put("pepper", {"current": given.current, "versions": versions})
        return VaultPepperSource(request.getfixturevalue("vault_session"))

    return stored


def in_secrets_manager(given: Peppers, endpoint: str) -> PepperSource:
    name = f"keyrail/pepper-{secrets.token_hex(4)}"
    values = {version: pepper.hex() for version, pepper in given.by_version.items()}
    assert SecretsManagerPepperPlace(name, endpoint).write(PepperVersions(given.current, values), None)
    return SecretsManagerPepper(name, endpoint)


@pytest.fixture(params=["memory", "vault", "dynamodb"])
def roles(request: pytest.FixtureRequest) -> Callable[[Roles], RoleSource]:
    if request.param == "memory":
        return MemoryRoleSource
    if request.param == "dynamodb":
        documents = DynamoDocuments(request.getfixturevalue("dynamo_table"))
        return lambda given: in_dynamodb(given, documents)
    mount: Mount = request.getfixturevalue("mount")

    def stored(given: Roles) -> RoleSource:
        mount.put("rbac/roles", {name: list(scopes) for name, scopes in given.by_name.items()})
        return VaultRoleSource(request.getfixturevalue("vault_session"))

    return stored


def in_dynamodb(given: Roles, documents: DynamoDocuments) -> RoleSource:
    assert documents.write("rbac/roles", {name: list(scopes) for name, scopes in given.by_name.items()}, 0)
    return DynamoRoleSource(documents)


def test_peppers_are_read_as_they_were_given(peppers: Callable[[Peppers], PepperSource]) -> None:
    assert peppers(PEPPERS).read() == PEPPERS


def test_digests_of_both_versions_can_be_made(peppers: Callable[[Peppers], PepperSource]) -> None:
    read = peppers(PEPPERS).read()
    assert read.current_digest(b"a key") == PEPPERS.digest(b"a key", 2)
    assert read.digest(b"a key", 1) == PEPPERS.digest(b"a key", 1)


@pytest.mark.parametrize("given", [Roles(BUILT_IN_ROLES), Roles({}), Roles({"none": ()})])
def test_roles_are_read_as_they_were_given(roles: Callable[[Roles], RoleSource], given: Roles) -> None:
    assert roles(given).read() == given
