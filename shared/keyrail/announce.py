"""A change that is done is told: one audit line, and one event in the outbox where somebody listens.

Called after the change and before its acknowledgement: whatever was acknowledged has its event. A call that was cut
off in between is repeated by its caller or by the next tick, and makes the same event under the same id.
"""

from datetime import datetime
from typing import Any

from keyrail.domain.events import LifecycleEvent, event_id
from keyrail.domain.records import KeyRecord
from keyrail.ports import Services


def announce(
    services: Services,
    name: str,
    record: KeyRecord,
    *,
    actor: str,
    change: str,
    at: datetime | None = None,
    **facts: Any,
) -> None:
    """`change` tells this change from every other of the key: a rotation id, a version. `at`: when it was made, where
    the record says so: told again, it is then the same event to the outbox, too. Raises: Unavailable."""
    announce_as(services, name, record.tenant, record.key_id, actor=actor, change=change, at=at, **facts)


def announce_as(
    services: Services,
    name: str,
    tenant: str,
    subject: str,
    *,
    actor: str,
    change: str,
    at: datetime | None = None,
    **facts: Any,
) -> None:
    facts = {"actor": actor, **facts}
    services.audit.write(name, subject=subject, tenant=tenant, **facts)
    if services.outbox is not None:
        at = at or services.clock.now()
        services.outbox.put(LifecycleEvent(event_id(name, subject, change), name, at, tenant, subject, facts))
