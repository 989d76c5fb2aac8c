"""Peppers and roles that are simply given."""

from keyrail.domain.digest import Peppers
from keyrail.domain.roles import BUILT_IN_ROLES, Roles


class MemoryPepperSource:
    def __init__(self, peppers: Peppers) -> None:
        self._peppers = peppers

    def read(self) -> Peppers:
        return self._peppers


class MemoryRoleSource:
    def __init__(self, roles: Roles | None = None) -> None:
        self._roles = roles or Roles(dict(BUILT_IN_ROLES))

    def read(self) -> Roles:
        return self._roles
