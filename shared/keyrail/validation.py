"""A presented key to a decision, by what the ports offer. Shared by validate_key and by every caller's check."""

from keyrail.domain.access import Caller, Principal
from keyrail.domain.decisions import Code, Decision, Need, decide
from keyrail.domain.errors import MalformedKey, PermissionDenied, RateLimited, Unauthenticated, Unavailable
from keyrail.domain.key_format import PresentedKey
from keyrail.domain.records import SYSTEM_TENANT, StoredKey
from keyrail.ports import Services, TokenVerifier
from keyrail.telemetry import note

OWN_AUDIENCE = "keyrail"  # a key bound to audiences needs this one to call Keyrail itself
TICK_SCOPES = ("rotation:tick",)
_MALFORMED = Decision(Code.MALFORMED, "malformed")


def check_key(text: str, need: Need, services: Services) -> Decision:
    """parse -> record and tombstone -> decision -> rate and quota. Raises: Unavailable, never a "no" instead."""
    decision = examine(text, need, services)
    if not decision:
        return decision
    _remember_use(decision, services)
    return _within_limits(decision, services)


def examine(text: str, need: Need, services: Services, *, anew: bool = False) -> Decision:
    """As check_key, but counts against no limit. `anew` asks the store, not memory."""
    try:
        presented = services.key_format.parse(text)
    except MalformedKey:
        return _MALFORMED
    return _decide(presented, need, services, anew=anew)


def _decide(presented: PresentedKey, need: Need, services: Services, *, anew: bool) -> Decision:
    """From memory where that can answer. A secret that memory does not know may be newer than memory (a key just
    rotated), so the store is asked; and then a wrong secret takes as long as an unknown id. Whoever knows only the
    id can't make us forget: the right secret is still answered from memory while the store is away."""
    found = services.lookup.find(presented.key_id, anew=anew)
    decision = _decide_on(presented, found.stored, need, services)
    if found.from_memory and decision.stored is None and decision.reason == "wrong_secret":
        found = services.lookup.find(presented.key_id, anew=True)
        decision = _decide_on(presented, found.stored, need, services)
    return decision


def _decide_on(presented: PresentedKey, stored: StoredKey | None, need: Need, services: Services) -> Decision:
    lookup, now = services.lookup, services.clock.now()
    try:
        return decide(presented, stored, lookup.peppers(), lookup.roles(), need, now)
    except KeyError:  # a digest of a pepper newer than the ones held here
        peppers = lookup.peppers(anew=True)
    try:
        return decide(presented, stored, peppers, lookup.roles(), need, now)
    except KeyError as error:
        raise Unavailable(f"pepper version {error.args[0]} is not in Vault") from error


def _remember_use(decision: Decision, services: Services) -> None:
    stored, generation = decision.stored, decision.generation
    if stored is not None and generation is not None:
        is_retiring = generation.state == "retiring"
        services.usage.used(stored.record.key_id, generation.n, services.clock.now(), is_retiring=is_retiring)


def _within_limits(decision: Decision, services: Services) -> Decision:
    record = decision.stored.record if decision.stored else None
    if record is None or (record.rate is None and record.quota is None):
        return decision
    refused = services.limiter.take(record.key_id, record.rate, record.quota)
    if refused is None:
        return decision
    code = Code.RATE_LIMITED if refused.limit == "rate" else Code.QUOTA_EXCEEDED
    return decision._replace(code=code, reason=code.lower(), retry_after_seconds=refused.retry_after_seconds)


def authenticate(credential: str | None, ip: str | None, services: Services) -> tuple[Caller, Decision]:
    """Who calls. Raises: Unauthenticated, PermissionDenied, RateLimited, Unavailable.

    A caller whose secret is right but whose key is, say, expired comes back as not `usable`: it may still
    revoke that very key. One that is rotated out may not: its holder should have the new one.
    """
    if credential is None:
        raise Unauthenticated("Send your key as Authorization: Bearer <key> or X-API-Key.", code=Code.MISSING)
    decision = check_key(credential, Need(ip=ip, audience=OWN_AUDIENCE), services)
    if decision.code in (Code.RATE_LIMITED, Code.QUOTA_EXCEEDED):
        raise RateLimited("Your key's limit is used up.", retry_after_seconds=decision.retry_after_seconds or 1)
    if decision.stored is None or decision.code is Code.ROTATED_OUT:
        note(presented_id=decision.presented_id, presented_reason=decision.reason)  # what NOT_FOUND hides outside
        raise refusal(decision)
    record = decision.stored.record
    return Caller(record.key_id, record.tenant, record.owner, decision.scopes, usable=bool(decision)), decision


def authenticate_token(token: str, verifier: TokenVerifier, services: Services) -> Caller:
    """A scheduler, by the token that its platform signed; it may do nothing but tick. Raises: as the verifier."""
    subject = verifier.subject(token, services.clock.now())
    return Caller(f"oidc:{subject}", SYSTEM_TENANT, subject, TICK_SCOPES)


def authenticate_principal(principal: Principal, services: Services) -> Caller:
    """Raises: Unavailable, where what its roles mean can't be read."""
    scopes = services.lookup.roles().effective(principal.scopes, principal.roles)
    return Caller(principal.name, principal.tenant, principal.name, scopes)


def refusal(decision: Decision) -> Unauthenticated | PermissionDenied:
    """Why the caller's own key is not accepted."""
    if decision.code is Code.CONTEXT_DENIED:
        return PermissionDenied("Your key may not be used from here.", code=decision.code)
    return Unauthenticated("Your key was refused.", code=decision.code)
