"""How long a key may live."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from keyrail.domain.errors import PermissionDenied


@dataclass(frozen=True, slots=True)
class LifePolicy:
    """One deployment's rule; `max_lifetime_seconds` None sets no bound."""

    default_lifetime_seconds: int
    max_lifetime_seconds: int | None

    def require_allowed(self, now: datetime, expires_at: datetime | None) -> None:
        """Raises: PermissionDenied LIFETIME_TOO_LONG."""
        if self.max_lifetime_seconds is None:
            return
        if expires_at is None or expires_at > now + timedelta(seconds=self.max_lifetime_seconds):
            raise PermissionDenied(
                f"A key may live at most {self.max_lifetime_seconds} seconds from now.", code="LIFETIME_TOO_LONG"
            )
