"""Peppers and roles: two small documents in Vault that everyone reads. Malformed is Unavailable, never "none".

pepper      {"current": 1, "versions": {"1": "<64 hex characters>"}}
rbac/roles  {"admin": ["*"], ...}
"""

from typing import Any

from keyrail.adapters.vault_paths import PEPPER, ROLES, SecretPath
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.digest import Peppers
from keyrail.domain.errors import Unavailable
from keyrail.domain.pepper_document import decode_versions
from keyrail.domain.roles import Roles, decode_roles
from keyrail.domain.stored_form import Malformed


class VaultPepperSource:
    """1 request to Vault."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def read(self) -> Peppers:
        versions = decode_versions(existing(self._session, PEPPER))
        if versions is None:
            raise Unavailable(f"{PEPPER} is malformed")
        return versions.peppers()


class VaultRoleSource:
    """1 request to Vault."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def read(self) -> Roles:
        try:
            return decode_roles(existing(self._session, ROLES))
        except Malformed as error:
            raise Unavailable(f"{ROLES} is malformed {error}") from error


def existing(session: VaultSession, path: SecretPath) -> dict[str, Any]:
    """Raises: Unavailable also where it is absent: bootstrap makes it, so its absence is no answer."""
    found = session.read(path)
    if found is None:
        raise Unavailable(f"{path} does not exist: run `keyrail bootstrap`")
    return found.data
