"""The first admin key, put straight into a store, as `keyrail bootstrap` leaves it in Vault."""

from keyrail.domain.key_format import new_key_id, new_secret
from keyrail.domain.records import SYSTEM_TENANT, Generation, KeyRecord, Rotation
from keyrail.ports import Services


def make_admin(services: Services) -> str:
    """The whole key."""
    key_id, now = new_key_id(), services.clock.now()
    key = services.key_format.assemble(key_id, new_secret())
    digest = services.lookup.peppers().current_digest(services.key_format.parse(key).body)
    made = services.keys.create(
        KeyRecord(
            key_id=key_id,
            tenant=SYSTEM_TENANT,
            env="live",
            prefix="krl",
            owner="platform-team",
            name="first admin",
            created_at=now,
            created_by="bootstrap",
            generations=(Generation(n=1, digest=digest, pepper_version=1, state="current", activated_at=now),),
            rotation=Rotation(grace_seconds=3600, max_grace_seconds=86_400),
            roles=("admin",),
        )
    )
    assert made
    return key
