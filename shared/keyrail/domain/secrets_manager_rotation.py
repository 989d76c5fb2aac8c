"""Rotations of a key that AWS Secrets Manager drives: what is theirs alone. domain/lifecycle.py has the rest."""

from dataclasses import replace
from datetime import datetime

from keyrail.domain.lifecycle import NewSecret, find_generation, require_free, under_way, with_pending
from keyrail.domain.records import KeyRecord

_SECRETS_MANAGER = "secretsmanager:"  # begins the id of each rotation that it drives


def stage_for_secrets_manager(
    record: KeyRecord, secret: NewSecret, *, rotation_id: str, lease_until: datetime, now: datetime
) -> KeyRecord:
    """A rotation that AWS Secrets Manager drives, or another try of it: one more generation is pending.

    What is pending already stays so, since the write of whoever made it may yet arrive. Which of its own rotations
    goes on is Secrets Manager's to say, so the lease keeps off only others.
    Raises: Conflict ROTATION_IN_PROGRESS while somebody else's rotation, or a grace period, is running.
    """
    require_secrets_managers_turn(record)
    if not is_secrets_managers(record):
        require_free(record, now)
    rotation = replace(
        record.rotation,
        rotation_id=rotation_id,
        step="staged",
        staged_grace_seconds=record.rotation.grace_seconds,
        lease_until=lease_until,
    )
    return with_pending(replace(record, rotation=rotation), secret, now)


def secrets_manager_rotation_id(token: str) -> str:
    """It says who drives it: no tick goes on with it."""
    return f"{_SECRETS_MANAGER}{token}"


def is_secrets_managers(record: KeyRecord) -> bool:
    """There is a rotation in flight, and AWS Secrets Manager drives it."""
    is_in_flight = find_generation(record, "pending") is not None
    return is_in_flight and (record.rotation.rotation_id or "").startswith(_SECRETS_MANAGER)


def require_secrets_managers_turn(record: KeyRecord) -> None:
    """Raises: Conflict ROTATION_IN_PROGRESS where a rotation in flight is somebody else's."""
    if find_generation(record, "pending") is not None and not is_secrets_managers(record):
        raise under_way()
