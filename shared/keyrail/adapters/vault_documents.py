"""Peppers and roles: two small documents in Vault that everyone reads. Malformed is Unavailable, never "none".

pepper      {"current": 1, "versions": {"1": "<64 hex characters>"}}
rbac/roles  {"admin": ["*"], ...}
"""

import re
from typing import Any

from keyrail.adapters.vault_paths import PEPPER, ROLES, SecretPath
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.digest import PEPPER_BYTES, Peppers
from keyrail.domain.errors import Unavailable
from keyrail.domain.roles import Roles
from keyrail.domain.scopes import SCOPE

_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_PEPPER = re.compile(rf"[0-9a-f]{{{2 * PEPPER_BYTES}}}")


class VaultPepperSource:
    """1 request to Vault."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def read(self) -> Peppers:
        return decode_peppers(existing(self._session, PEPPER))


class VaultRoleSource:
    """1 request to Vault."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def read(self) -> Roles:
        return decode_roles(existing(self._session, ROLES))


def existing(session: VaultSession, path: SecretPath) -> dict[str, Any]:
    """Raises: Unavailable also where it is absent: bootstrap makes it, so its absence is no answer."""
    found = session.read(path)
    if found is None:
        raise Unavailable(f"{path} does not exist: run `keyrail bootstrap`")
    return found.data


def decode_peppers(data: dict[str, Any]) -> Peppers:
    """Raises: Unavailable, without a pepper in it."""
    match data:
        case {"current": int(current), "versions": dict(versions), **rest} if not rest and type(current) is int:
            if all(_is_pepper(*item) for item in versions.items()) and str(current) in versions:
                return Peppers(current, {int(version): bytes.fromhex(value) for version, value in versions.items()})
    raise Unavailable(f"{PEPPER} is malformed")


def decode_roles(data: dict[str, Any]) -> Roles:
    """Raises: Unavailable."""
    for name, scopes in data.items():
        if not isinstance(scopes, list) or not all(isinstance(s, str) and SCOPE.fullmatch(s) for s in scopes):
            raise Unavailable(f"{ROLES} is malformed at role {name!r:.40}")
    return Roles({name: tuple(scopes) for name, scopes in data.items()})


def _is_pepper(version: object, value: object) -> bool:
    return (
        isinstance(version, str)
        and isinstance(value, str)
        and _VERSION.fullmatch(version) is not None
        and _PEPPER.fullmatch(value) is not None
    )
