"""May this key be used for that, now? The answer is a value; its "no" is falsy and has a reason.

The secret is compared before any state is told: who does not hold the key learns nothing but NOT_FOUND.
"""

import ipaddress
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from keyrail.domain.digest import Peppers, same_digest
from keyrail.domain.key_format import PresentedKey
from keyrail.domain.records import Context, Generation, StoredKey, is_early, is_expired
from keyrail.domain.roles import Roles
from keyrail.domain.scopes import Test

_DUMMY_DIGEST = "0" * 64


class Code(StrEnum):
    """The words on the wire. At a gateway: 401 down to ROTATED_OUT, then 403, 429, 503."""

    VALID = "VALID"
    MISSING = "MISSING"
    MALFORMED = "MALFORMED"
    NOT_FOUND = "NOT_FOUND"
    DISABLED = "DISABLED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    ROTATED_OUT = "ROTATED_OUT"
    CONTEXT_DENIED = "CONTEXT_DENIED"
    INSUFFICIENT_SCOPE = "INSUFFICIENT_SCOPE"
    RATE_LIMITED = "RATE_LIMITED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"


class Need(NamedTuple):
    """What a use of a key asks for. `tenant` None means any tenant."""

    tenant: str | None = None
    scopes: Test | None = None
    ip: str | None = None
    audience: str | None = None


class Decision(NamedTuple):
    """`stored` and `generation` are set where the secret was right, whatever the code says.

    `reason` and `presented_id` are for the log: they tell what NOT_FOUND hides.
    """

    code: Code
    reason: str
    presented_id: str | None = None
    stored: StoredKey | None = None
    generation: Generation | None = None
    scopes: tuple[str, ...] = ()
    retry_after_seconds: int | None = None

    def __bool__(self) -> bool:
        return self.code is Code.VALID

    def ends_at(self) -> datetime | None:
        """When the same would be decided otherwise, the record and whatever is asked staying as they are; None: never.
        Of one that is VALID."""
        if self.stored is None or self.generation is None:
            return None
        return min(filter(None, (self.stored.record.expires_at, self.generation.retire_at)), default=None)

    def retirement(self) -> tuple[datetime | None, datetime | None]:
        """Since when the presented generation is superseded, and until when it is accepted; None, None if it isn't."""
        if self.stored is None or self.generation is None or self.generation.state != "retiring":
            return None, None
        current = next((g for g in self.stored.record.generations if g.state == "current"), None)
        return current.activated_at if current else None, self.generation.retire_at


def decide(
    presented: PresentedKey,
    stored: StoredKey | None,
    peppers: Peppers,
    roles: Roles,
    need: Need,
    now: datetime,
) -> Decision:
    """Everything but rate and quota, which count. Raises: KeyError where a digest names an unknown pepper."""
    if stored is None:
        same_digest(peppers.current_digest(presented.body), _DUMMY_DIGEST)  # as long as for a known id
        return Decision(Code.NOT_FOUND, "unknown_id", presented.key_id)
    generation = _matching_generation(presented, stored, peppers, now)
    if generation is None:
        return Decision(Code.NOT_FOUND, "wrong_secret", presented.key_id)
    if need.tenant is not None and need.tenant != stored.record.tenant:
        return Decision(Code.NOT_FOUND, "other_tenant", presented.key_id)
    scopes = roles.effective(stored.record.scopes, stored.record.roles)
    code = _refusal(stored, generation, scopes, need, now) or Code.VALID
    return Decision(code, code.lower(), presented.key_id, stored, generation, scopes)


def _matching_generation(
    presented: PresentedKey, stored: StoredKey, peppers: Peppers, now: datetime
) -> Generation | None:
    """The newest whose digest is the presented key's; all are compared, so time tells nothing."""
    digests: dict[int, str] = {}
    found = None
    for generation in stored.record.generations:
        version = generation.pepper_version
        if not peppers.knows(version) and (stored.tombstone is not None or is_rotated_out(generation, now)):
            continue  # that its pepper is gone must not take the live generations along; a revoked key has none
        digest = digests.get(version) or digests.setdefault(version, peppers.digest(presented.body, version))
        if same_digest(generation.digest, digest) and generation.digest_scheme == presented.digest_scheme:
            found = generation
    return found


def _refusal(
    stored: StoredKey, generation: Generation, scopes: tuple[str, ...], need: Need, now: datetime
) -> Code | None:
    record = stored.record
    if stored.tombstone is not None:
        return Code.REVOKED
    if record.state == "disabled":
        return Code.DISABLED
    if is_expired(record, now):
        return Code.EXPIRED
    if is_early(record, now):
        return Code.NOT_YET_VALID
    if is_rotated_out(generation, now):
        return Code.ROTATED_OUT
    if not _context_allows(record.context, need):
        return Code.CONTEXT_DENIED
    if need.scopes is not None and not _meets(need.scopes, scopes):
        return Code.INSUFFICIENT_SCOPE
    return None


@lru_cache(maxsize=4096)
def _meets(test: Test, scopes: tuple[str, ...]) -> bool:
    """Remembered, since the same keys are asked for the same over and over; a test has no other input."""
    return test(scopes)


def is_rotated_out(generation: Generation, now: datetime) -> bool:
    """A retiring one without `retire_at`, which nothing here writes, counts as out: no grace is endless."""
    if generation.state == "retired":
        return True
    return generation.state == "retiring" and (generation.retire_at is None or generation.retire_at <= now)


def _context_allows(context: Context, need: Need) -> bool:
    """A bound key needs its context told: no ip or audience given is a refusal, not a pass."""
    if context.cidrs and (need.ip is None or not _is_inside(need.ip, context.cidrs)):
        return False
    return not context.audiences or need.audience in context.audiences


def _is_inside(ip: str, cidrs: tuple[str, ...]) -> bool:
    """False for a text that is no address, or one with a zone, which could be of any length and stay in the cache."""
    if "%" in ip:
        return False
    try:
        return _in_any(ip, cidrs)
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def _in_any(ip: str, cidrs: tuple[str, ...]) -> bool:
    """Raises: ValueError where `ip` is no address or one of `cidrs` no network."""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(cidr) for cidr in cidrs)
