"""Being somebody in Vault: one token for the whole process, taken when first needed and replaced in good time.

Tokens are thought of as batch tokens: they leave no lease behind and can't be renewed, so we log in again.
Vault answers a failed login with 400, and an expired token, an unknown one and a missing policy alike with 403.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from keyrail.adapters.vault_config import VaultConfig, is_header_safe
from keyrail.adapters.vault_transport import Deadline
from keyrail.domain.errors import Unavailable

RENEW_AT = (0.75, 0.85)  # of a lease; spread, so that a fleet started at once does not log in at once
REFUSED_AGAIN_SECONDS = 1.0  # a token this young was not refused for its age: the policy says no
FAILED_SECONDS = 0.5  # after a failed login all callers fail for so long, instead of each trying one by one


@dataclass(frozen=True, slots=True)
class Token:
    """Times are of the process's elapsed clock; `expires_at` is infinite for a token without lease."""

    value: str = field(repr=False)
    taken_at: float
    renew_at: float
    expires_at: float


class TokenHolder:
    """Safe to share among threads; of all who find the token gone, one logs in and the others wait for it."""

    def __init__(self, log_in: Callable[[Deadline], Token], elapsed_seconds: Callable[[], float]) -> None:
        self._log_in = log_in
        self._elapsed_seconds = elapsed_seconds
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._failed_until = float("-inf")

    def current(self, deadline: Deadline) -> Token:
        """Raises: Unavailable."""
        token = self._token
        now = self._elapsed_seconds()
        if token is None or now >= token.expires_at:
            return self._replaced(token, deadline)
        if now >= token.renew_at and self._lock.acquire(blocking=False):
            try:
                return self._renewed(token, deadline)
            finally:
                self._lock.release()
        return token

    def after_refusal(self, refused: Token, deadline: Deadline) -> Token | None:
        """Another token than the one Vault answered with 403; None where logging in can't help.

        Raises: Unavailable.
        """
        if self._elapsed_seconds() - refused.taken_at < REFUSED_AGAIN_SECONDS:
            return None
        return self._replaced(refused, deadline)

    def _replaced(self, stale: Token | None, deadline: Deadline) -> Token:
        try:
            is_ours = self._lock.acquire(timeout=deadline.left_seconds())
        except TimeoutError:
            is_ours = False
        if not is_ours:
            raise Unavailable("no time left to log in to Vault")
        try:
            if self._token is not None and self._token is not stale:
                return self._token
            return self._logged_in(deadline)
        finally:
            self._lock.release()

    def _renewed(self, good: Token, deadline: Deadline) -> Token:
        """A new token before the old one ends; as long as that fails the old one will do."""
        try:
            return self._logged_in(deadline)
        except Unavailable:
            return good

    def _logged_in(self, deadline: Deadline) -> Token:
        """The lock is held."""
        if self._elapsed_seconds() < self._failed_until:
            raise Unavailable("logging in to Vault failed a moment ago")
        try:
            self._token = self._log_in(deadline)
        except Unavailable:
            self._failed_until = self._elapsed_seconds() + FAILED_SECONDS
            raise
        return self._token


def login_body(config: VaultConfig) -> dict[str, str]:
    """What the auth method asks for, read or signed anew: files and roles are replaced under running processes.

    Raises: Unavailable.
    """
    if config.auth == "approle":
        body = {"role_id": config.role_id or ""}
        return body if config.secret_id_file is None else body | {"secret_id": _secret_in(config.secret_id_file)}
    if config.auth == "aws":
        from keyrail.adapters.vault_aws_login import iam_login_body

        return iam_login_body(config.role or "", config.aws_server_id or "", config.aws_region)
    if config.auth == "google":
        from keyrail.adapters.vault_google_login import service_account_token

        token = service_account_token(config.google_metadata_host, config.google_audience or config.address)
        return {"role": config.role or "", "jwt": token}
    return {"role": config.role or "", "jwt": _secret_in(config.jwt_file or "")}


def token_from(answer: object, now: float) -> Token:
    """The token in the answer to a login. Raises: Unavailable."""
    match answer:
        case {"auth": {"client_token": str(value), "lease_duration": int(lease_seconds)}} if is_header_safe(value):
            if lease_seconds <= 0:
                return Token(value, now, float("inf"), float("inf"))
            # A batch token's birth is kept in whole seconds, so it ends up to a second early (measured: 1.1 s for 2).
            life_seconds = max(lease_seconds - 1, lease_seconds / 2)
            share = random.uniform(*RENEW_AT)  # noqa: S311 - spreads load, guards nothing
            return Token(value, now, now + share * life_seconds, now + life_seconds)
    raise Unavailable("Vault's answer to a login holds no token")


def _secret_in(file: str) -> str:
    try:
        secret = Path(file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as exc:
        raise Unavailable(f"the file of the Vault login can't be read: {type(exc).__name__}") from None
    if not is_header_safe(secret):
        raise Unavailable("the file of the Vault login is empty or holds characters no secret id or JWT has")
    return secret
