"""How a scheduler without a key proves itself: the part of bootstrap.py that reads the KEYRAIL_TICK_OIDC settings."""

from keyrail.domain.errors import Internal
from keyrail.ports import Clock, TokenVerifier
from keyrail.settings import Settings


def tick_tokens(settings: Settings, clock: Clock) -> TokenVerifier | None:
    """Signed tokens count for nothing unless all that they are held against is set."""
    needed = {
        "KEYRAIL_TICK_OIDC_ISSUER": settings.tick_oidc_issuer,
        "KEYRAIL_TICK_OIDC_AUDIENCE": settings.tick_oidc_audience,
        "KEYRAIL_TICK_OIDC_SUBJECT": settings.tick_oidc_subject,
        "KEYRAIL_TICK_OIDC_JWKS": settings.tick_oidc_jwks,
    }
    missing = [name for name, value in needed.items() if value is None]
    if len(missing) == len(needed):
        return None
    if missing:
        raise Internal(f"settings: {', '.join(missing)} missing beside the other KEYRAIL_TICK_OIDC settings")
    from keyrail.adapters.oidc_keys import IssuerKeys
    from keyrail.adapters.oidc_tokens import OidcTokens

    issuer, audience, subject, jwks = (value or "" for value in needed.values())
    try:
        return OidcTokens(issuer, audience, subject, IssuerKeys(jwks, clock.elapsed_seconds))
    except ValueError as error:
        raise Internal(f"settings: {error}") from error
