"""The first admin key. `bootstrap/admin` remembers its key id, and whether the key reached somebody.

    claim (not handed over) -> record -> hand over -> mark handed over -> revoke the keys it replaces -> done

A run that was killed may have made a key that nobody holds, or that nobody knows they hold. So the next run makes
another one and revokes that: no admin key is left alive that was not handed over in order.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from keyrail.adapters.setup_documents import Documents, Step
from keyrail.domain.errors import Unavailable
from keyrail.domain.key_format import new_key_id, new_secret
from keyrail.domain.lifecycle import MAX_GRACE_SECONDS
from keyrail.domain.records import SYSTEM_TENANT, Generation, KeyRecord, Rotation, Tombstone
from keyrail.ports import Services

MARKER = "bootstrap/admin"
MADE_BY = "bootstrap"
GRACE_SECONDS = 3600  # an hour to put a rotated admin key where it is used

HandOver = Callable[[str, str], None]
"""Gets the key id and the whole key, once."""


@dataclass(frozen=True, slots=True)
class _Marker:
    key_id: str
    handed_over: bool
    replaces: tuple[str, ...]
    version: int

    def document(self) -> dict[str, Any]:
        return {"key_id": self.key_id, "handed_over": self.handed_over, "replaces": list(self.replaces)}


@dataclass(frozen=True)
class AdminKeys:
    """Raises throughout: Unavailable, PermissionDenied, and what `hand_over` raises."""

    documents: Documents
    services: Services

    def ensure(self, hand_over: HandOver, *, new: bool = False, replace_dead: bool = False) -> Step:
        """There is an admin key that was handed over. With `new`, or where the one there is revoked, disabled or
        expired and `replace_dead`, it is a new one, and the one before is revoked."""
        marker = self._marker()
        if marker is not None and marker.handed_over and not new:
            self._revoke_replaced(marker)
            state = self._state(marker.key_id)
            if state == "active":
                return Step("admin key", "kept", f"key id {marker.key_id}")
            if not replace_dead:
                return Step("admin key", "kept", f"key id {marker.key_id} is {state}: replace it by --new-admin")
            marker = self._marker()
        made = self._make(marker, hand_over)
        self._revoke_replaced(made)
        note = f"key id {made.key_id}" + (f", replaces {', '.join(made.replaces)}" if made.replaces else "")
        return Step("admin key", "made", note)

    def _make(self, marker: _Marker | None, hand_over: HandOver) -> _Marker:
        key_id, secret = new_key_id(), new_secret()
        replaces = (*marker.replaces, marker.key_id) if marker else ()
        version = marker.version if marker else 0
        made = self._write(_Marker(key_id, handed_over=False, replaces=replaces, version=version))
        key = self.services.key_format.assemble(key_id, secret)
        if not self.services.keys.create(self._record(key_id, key)):
            raise Unavailable(f"the id {key_id} is taken; run again")
        hand_over(key_id, key)
        return self._write(replace(made, handed_over=True))

    def _revoke_replaced(self, marker: _Marker) -> None:
        if not marker.replaces:
            return
        now = self.services.clock.now()
        for key_id in marker.replaces:
            self.services.keys.revoke(
                Tombstone(key_id=key_id, revoked_at=now, revoked_by=MADE_BY, reason=f"replaced by {marker.key_id}")
            )
            self.services.feed.publish(key_id)
        self._write(replace(marker, replaces=()))

    def _state(self, key_id: str) -> str:
        stored = self.services.keys.find(key_id)
        return "gone" if stored is None else stored.state_at(self.services.clock.now())

    def _record(self, key_id: str, key: str) -> KeyRecord:
        now, lifetime = self.services.clock.now(), self.services.life_policy.default_lifetime_seconds
        return KeyRecord(
            key_id=key_id,
            tenant=SYSTEM_TENANT,
            env=self.services.key_format.environment,
            prefix=self.services.key_format.prefix,
            owner=MADE_BY,
            name="admin key of keyrail bootstrap",
            created_at=now,
            created_by=MADE_BY,
            roles=("admin",),
            expires_at=now + timedelta(seconds=lifetime),
            lifetime_seconds=lifetime,
            rotation=Rotation(grace_seconds=GRACE_SECONDS, max_grace_seconds=MAX_GRACE_SECONDS),
            generations=(self._generation(key, now),),
        )

    def _generation(self, key: str, now: datetime) -> Generation:
        peppers = self.services.lookup.peppers()
        digest = peppers.current_digest(self.services.key_format.parse(key).body)
        return Generation(n=1, digest=digest, pepper_version=peppers.current, state="current", activated_at=now)

    def _marker(self) -> _Marker | None:
        found = self.documents.read(MARKER)
        if found is None:
            return None
        document, version = found
        return _Marker(document["key_id"], document["handed_over"], tuple(document["replaces"]), version)

    def _write(self, marker: _Marker) -> _Marker:
        if not self.documents.write(MARKER, marker.document(), marker.version):
            raise Unavailable("another bootstrap runs at this moment and made the admin key; use that one")
        return replace(marker, version=marker.version + 1)
