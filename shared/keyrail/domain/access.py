"""Who calls, and what that caller may do. Nobody acts in a foreign tenant or gives away what they don't hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from keyrail.domain.errors import NotFound, PermissionDenied
from keyrail.domain.records import SYSTEM_TENANT, StoredKey
from keyrail.domain.scopes import holds, missing_scopes

FOREIGN = "other_tenant"  # detail of a NotFound: the key is there, in a tenant that is none of the caller's


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever its transport has authenticated already, such as by a client certificate; `name` says how and as whom,
    like `mtls:spiffe://cluster/ns/ml/sa/gateway`."""

    name: str
    tenant: str
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class Caller(NamedTuple):
    """Whoever presented a key. `usable` is False where the secret was right but the key is not VALID:
    such a caller may only revoke that very key."""

    key_id: str
    tenant: str
    owner: str
    scopes: tuple[str, ...]
    usable: bool = True

    def require_scope(self, scope: str) -> None:
        """Raises: PermissionDenied."""
        if not self.usable or not holds(self.scopes, scope):
            raise PermissionDenied(f"Your key lacks the scope {scope}.", code="INSUFFICIENT_SCOPE")

    def require_scope_or_self(self, scope: str, key_id: str) -> None:
        """Possession of a key is enough to act on that key. Raises: PermissionDenied."""
        if key_id != self.key_id:
            self.require_scope(scope)

    def require_tenant(self, tenant: str) -> None:
        """Raises: PermissionDenied."""
        if not self.acts_in(tenant):
            raise PermissionDenied("Your key belongs to another tenant.", code="OTHER_TENANT")

    def acts_in(self, tenant: str) -> bool:
        return self.tenant in (SYSTEM_TENANT, tenant)

    def require_all_of(self, scopes: Iterable[str]) -> None:
        """Raises: PermissionDenied where the caller would hand out, or get hold of, more than it holds."""
        missing = missing_scopes(self.scopes if self.usable else (), scopes)
        if missing:
            raise PermissionDenied(
                f"Your key does not hold {', '.join(missing)}, so it can't grant or obtain it.",
                code="ESCALATION",
            )

    def require_visible(self, stored: StoredKey | None, key_id: str) -> StoredKey:
        """The key, where it exists in a tenant of the caller's. Raises: NotFound for both other cases alike."""
        if stored is None or not self.acts_in(stored.record.tenant):
            reason = "unknown_id" if stored is None else FOREIGN
            raise NotFound(f"There is no key {key_id}.", code="KEY_NOT_FOUND", detail=reason)
        return stored
