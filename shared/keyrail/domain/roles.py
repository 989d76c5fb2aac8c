"""Roles: sets of scopes by name. Kept at rbac/roles; the built-in ones are written by `keyrail bootstrap`."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from keyrail.domain.scopes import SCOPE
from keyrail.domain.stored_form import Malformed


@dataclass(frozen=True, slots=True)
class Roles:
    """Named sets of scopes."""

    by_name: dict[str, tuple[str, ...]]

    def effective(self, scopes: tuple[str, ...], roles: tuple[str, ...]) -> tuple[str, ...]:
        """The scopes given directly and through roles; a role that no longer exists gives nothing."""
        if not roles:
            return scopes
        return tuple(dict.fromkeys([*scopes, *self.scopes_of(roles)]))

    def scopes_of(self, roles: Collection[str]) -> tuple[str, ...]:
        return tuple(scope for role in roles for scope in self.by_name.get(role, ()))


BUILT_IN_ROLES: dict[str, tuple[str, ...]] = {
    "admin": ("*",),
    "issuer": ("keys:issue", "keys:read"),
    "operator": ("keys:read", "keys:update", "keys:rotate", "keys:revoke", "keys:validate"),
    "auditor": ("keys:read", "config:list"),
    "ticker": ("rotation:tick",),
    "service": ("keys:validate", "config:read"),
}


def decode_roles(document: dict[str, Any]) -> Roles:
    """Raises: Malformed."""
    for name, scopes in document.items():
        if not isinstance(scopes, list) or not all(isinstance(s, str) and SCOPE.fullmatch(s) for s in scopes):
            raise Malformed(f"at role {name!r:.40}")
    return Roles({name: tuple(scopes) for name, scopes in document.items()})
