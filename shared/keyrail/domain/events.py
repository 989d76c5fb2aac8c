"""What happened to a key or a credential, for whoever listens: CloudEvents 1.0 without any secret."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keyrail.domain.digest import fingerprint

TYPE_PREFIX = "keyrail."


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """`event_id` is the same however often the event is made of the same change: a receiver drops what it had.

    `name`     key.issued, key.imported, key.updated, key.revoked, rotation.staged, rotation.delivered,
               rotation.promoted, rotation.retired, rotation.failed, grace.still_used, config.written, ...
    `subject`  the key id, or the config's name
    """

    event_id: str
    name: str
    at: datetime
    tenant: str
    subject: str
    facts: dict[str, Any]

    def as_cloudevent(self) -> dict[str, Any]:
        """The JSON format (CloudEvents 1.0, JSON Event Format section 3)."""
        return {
            "specversion": "1.0",
            "id": self.event_id,
            "type": TYPE_PREFIX + self.name,
            "source": f"/keyrail/tenants/{self.tenant}",
            "subject": self.subject,
            "time": self.at.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": {"tenant": self.tenant, **self.facts},
        }


def event_id(name: str, subject: str, change: str) -> str:
    """`change` tells this change of the subject from every other: a version, a rotation id."""
    return fingerprint("event", name, subject, change)[:32]
