"""What every setup consists of, wherever its documents lie: steps, and documents that are made once."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from keyrail.domain.errors import Unavailable
from keyrail.domain.roles import BUILT_IN_ROLES

ROLES = "rbac/roles"

Outcome = Literal["made", "mended", "kept"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is there now. `note` says what was mended or why something was left as it is."""

    what: str
    outcome: Outcome
    note: str = ""


class Documents(Protocol):
    """By name, under an administrator's rights. Raises: KeyrailError where it can't be read or written."""

    def read(self, name: str) -> tuple[dict[str, Any], int] | None:
        """A document and its version."""
        ...

    def write(self, name: str, data: dict[str, Any], version: int) -> bool:
        """False where the stored version is another one (0: there is none), which then stays as it is."""
        ...


def ensure_roles(documents: Documents) -> Step:
    """Missing built-in roles are added; every role that is there stays as it is."""
    built_in = {name: list(scopes) for name, scopes in BUILT_IN_ROLES.items()}
    there = documents.read(ROLES)
    if there is None:
        documents.write(ROLES, built_in, 0)
        return Step("default roles", "made")
    roles, version = there
    missing = [name for name in built_in if name not in roles]
    if missing:
        if not documents.write(ROLES, built_in | roles, version):
            raise Unavailable("rbac/roles was changed by someone else in this moment; run again")
        return Step("default roles", "mended", f"added {', '.join(missing)}")
    changed = [name for name, scopes in built_in.items() if roles[name] != scopes]
    return Step("default roles", "kept", f"{', '.join(changed)} differ from the built-in ones" if changed else "")
