"""ID tokens of one issuer for few subjects (OpenID Connect Core, section 3.1.3.7): Cloud Scheduler's, Knative's, a
Kubernetes service account's. The algorithm is pinned, and goes with the key: never what the token asks for.
"""

from datetime import datetime
from importlib.util import find_spec
from typing import Any, NoReturn

from keyrail.adapters.oidc_keys import IssuerKeys
from keyrail.domain.errors import Unauthenticated, Unavailable
from keyrail.telemetry import note

KEY_TYPES = {"RS256": "RSA", "ES256": "EC"}
LEEWAY_SECONDS = 60
MAX_TOKEN_CHARS = 8192
MIN_RSA_BITS = 2048
MAX_KID_CHARS = 256


class OidcTokens:
    """`subjects`: separated by commas. Raises: ValueError where the extra `oidc` is not installed."""

    def __init__(self, issuer: str, audience: str, subjects: str, keys: IssuerKeys) -> None:
        self._issuer, self._audience, self._keys = issuer, audience, keys
        self._subjects = tuple(name for each in subjects.split(",") if (name := each.strip()))
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            raise ValueError("KEYRAIL_TICK_OIDC_ISSUER needs the extra keyrail[oidc]")

    def subject(self, token: str, now: datetime) -> str:
        """Raises: Unauthenticated TOKEN_REFUSED, the same for every reason; the log tells which."""
        if len(token) > MAX_TOKEN_CHARS:
            _refuse("too long")
        claims = self._claims(token, now.timestamp())
        names = (claims.get("sub"), claims.get("email") if claims.get("email_verified") is True else None)
        subject = next((name for name in names if name in self._subjects), None)
        if subject is None:
            _refuse("another subject")
        return str(subject)

    def _claims(self, token: str, now: float) -> dict[str, Any]:
        import jwt

        try:
            header = jwt.get_unverified_header(token)
            algorithm, key = self._key(header)
            claims: dict[str, Any] = jwt.decode(
                token,
                jwt.PyJWK(key, algorithm=algorithm).key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except Unavailable:
            raise
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            _refuse(type(error).__name__)
        _require_time(claims, now)
        return claims

    def _key(self, header: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in KEY_TYPES:
            _refuse("another algorithm")
        if not isinstance(kid, str) or len(kid) > MAX_KID_CHARS:
            _refuse("no kid")
        key = self._keys.find(kid)
        if key is None:
            _refuse("unknown kid")
        if key.get("kty") != KEY_TYPES[algorithm] or key.get("use", "sig") != "sig":
            _refuse("a key of another kind")
        if key.get("alg", algorithm) != algorithm or (algorithm == "ES256" and key.get("crv") != "P-256"):
            _refuse("a key of another algorithm")
        if algorithm == "RS256" and len(str(key.get("n", ""))) * 6 < MIN_RSA_BITS:
            _refuse("a short key")
        return algorithm, key


def _require_time(claims: dict[str, Any], now: float) -> None:
    expires_at, issued_at, not_before = claims["exp"], claims["iat"], claims.get("nbf", 0)
    if not all(type(at) in (int, float) for at in (expires_at, issued_at, not_before)):
        _refuse("a time that is no number")
    if not now < expires_at + LEEWAY_SECONDS:  # so that NaN is refused, too
        _refuse("expired")
    if not (issued_at <= now + LEEWAY_SECONDS and not_before <= now + LEEWAY_SECONDS):
        _refuse("not yet valid")


def _refuse(reason: str) -> NoReturn:
    note(presented_reason=reason)
    raise Unauthenticated("Your token was refused.", code="TOKEN_REFUSED")
