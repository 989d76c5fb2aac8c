"""A change that is done is told: one audit line, and one event in the outbox where somebody listens.

Called after the change and before its acknowledgement: whatever was acknowledged has its event. A call that was cut
off in between is repeated by its caller or by the next tick, and makes the same event under the same id.
"""

from typing import Any

from keyrail.domain.events import LifecycleEvent, event_id
from keyrail.domain.records import KeyRecord
from keyrail.ports import Services


def announce(services: Services, name: str, record: KeyRecord, *, actor: str, change: str, **facts: Any) -> None:
    """`change` tells this change from every other of the key: a rotation id, a version. Raises: Unavailable."""
    announce_as(services, name, record.tenant, record.key_id, actor=actor, change=change, **facts)


def announce_as(
    services: Services, name: str, tenant: str, subject: str, *, actor: str, change: str, **facts: Any
) -> None:
    facts = {"actor": actor, **facts}
    services.audit.write(name, subject=subject, tenant=tenant, **facts)
    if services.outbox is not None:
        services.outbox.put(
            LifecycleEvent(event_id(name, subject, change), name, services.clock.now(), tenant, subject, facts)
        )
