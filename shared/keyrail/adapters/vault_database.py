"""Rotates a static role of Vault's database engine, which sets a new password in the database itself.
docs/rotation-kinds.md "database"

The password never lies in a config: whoever reads one gets what Vault holds at that moment.
"""

import re
from collections.abc import Mapping
from typing import Any

from keyrail.adapters.vault_paths import SEGMENT, SecretPath
from keyrail.adapters.vault_replies import document, is_absent, refusal
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import InvalidArgument, RotatorFailed
from keyrail.rotation_ports import CredentialRotation

_LIVE_FIELDS = ("username", "password")


class VaultStaticRole:
    """Requests to Vault: mark 1, rotate 2 (1 where it was done before), live 1. `session` is of the engine's mount."""

    has_effects = True

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def checked(self, settings: Mapping[str, Any], tenant: str, *, is_system: bool) -> dict[str, Any]:
        """A tenant may name its own roles, `<tenant>_...`: no tenant's name has an underscore. Whoever acts in every
        tenant may name any."""
        match dict(settings):
            case {"role": str(role), **rest} if not rest and SEGMENT.fullmatch(role):
                if is_system or re.fullmatch(rf"{re.escape(tenant)}_[0-9A-Za-z_-]+", role):
                    return {"role": role}
                text = f"The static roles of this tenant are called {tenant}_...; another takes a key of system."
                raise InvalidArgument(text, code="BAD_ROTATION")
        raise InvalidArgument("A database rotation takes role, a static role's name.", code="BAD_ROTATION")

    def mark(self, asked: CredentialRotation) -> str | None:
        """When Vault rotated it last, by Vault's own clock."""
        reply = self._session.ask("GET", _path("static-roles", asked.settings))
        if is_absent(reply):
            raise RotatorFailed("Vault's database engine has no such static role")
        match document(reply):
            case {"data": {"last_vault_rotation": str(at)}}:
                return at
        return None

    def rotate(self, asked: CredentialRotation) -> Any:
        """Nothing is done where the role was rotated since the mark was read: by a try that was cut off."""
        if self.mark(asked) == asked.mark:
            reply = self._session.ask("POST", _path("rotate-role", asked.settings))
            if reply.status not in (200, 204):
                raise refusal(reply)
        return asked.value

    def live(self, value: Any, settings: Mapping[str, Any]) -> Any:
        match document(self._session.ask("GET", _path("static-creds", settings))):
            case {"data": {"username": str(), "password": str()} as found}:
                beside = value if isinstance(value, dict) else {}
                return {**beside, **{name: found[name] for name in _LIVE_FIELDS}}
        raise RotatorFailed("Vault's answer holds no static credentials")


def _path(below: str, settings: Mapping[str, Any]) -> SecretPath:
    return SecretPath((below, settings["role"]))
