"""The public keys of a token issuer (RFC 7517), from an https address or a file; kept, and read anew in bounds.

A key id that is not among them has them read anew: issuers rotate their keys. Made-up ones can't have that done more
than once in REFETCH_SECONDS.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keyrail.adapters.vault_transport import Deadline, Transport, TransportFault
from keyrail.adapters.web_server import WebServer
from keyrail.domain.errors import Unavailable

KEEP_SECONDS = 3600.0
REFETCH_SECONDS = 30.0
FETCH_SECONDS = 3.0
MAX_BYTES = 256 * 1024  # Google's set has 2 KB


class IssuerKeys:
    """Raises: ValueError where the place is neither a file's name nor an address with https (or loopback)."""

    def __init__(self, place: str, elapsed_seconds: Callable[[], float]) -> None:
        self._place, self._elapsed_seconds = place, elapsed_seconds
        self._lock = threading.Lock()
        self._keys: dict[str, dict[str, Any]] = {}
        self._read_at = self._tried_at = float("-inf")
        self._failure: str | None = None
        self._server = WebServer(place, "KEYRAIL_TICK_OIDC_JWKS") if "://" in place else None
        if self._server is not None and self._server.url.scheme != "https" and not self._server.is_loopback:
            raise ValueError("KEYRAIL_TICK_OIDC_JWKS must begin with https, unless it is on loopback")

    def find(self, kid: str) -> dict[str, Any] | None:
        """None where the issuer has no such key. Raises: Unavailable where nobody can tell."""
        with self._lock:
            now = self._elapsed_seconds()
            is_fresh = now - self._read_at <= KEEP_SECONDS
            if is_fresh and kid in self._keys:
                return self._keys[kid]
            if now - self._tried_at >= REFETCH_SECONDS:
                self._read(now)
            if self._failure is not None:
                raise Unavailable(f"the keys of the token's issuer can't be read: {self._failure}")
            return self._keys.get(kid)

    def _read(self, now: float) -> None:
        self._tried_at = now
        try:
            self._keys = _by_kid(self._text())
            self._read_at, self._failure = now, None
        except (OSError, ValueError, TransportFault) as error:
            self._failure = error.cause if isinstance(error, TransportFault) else type(error).__name__

    def _text(self) -> bytes:
        if self._server is None:
            with Path(self._place).open("rb") as file:
                return file.read(MAX_BYTES + 1)
        transport = Transport(self._server, self._elapsed_seconds)
        try:
            headers = {"Accept": "application/json"}
            reply = transport.exchange("GET", self._server.target, headers, b"", Deadline(FETCH_SECONDS))
        finally:
            transport.close()
        if reply.status != 200:  # redirects too: nobody else speaks for the issuer
            raise TransportFault(f"status {reply.status}", was_sent=True, timed_out=False)
        return reply.body


def _by_kid(text: bytes) -> dict[str, dict[str, Any]]:
    """Raises: ValueError where this is no key set."""
    if len(text) > MAX_BYTES:
        raise ValueError
    match json.loads(text):
        case {"keys": list(keys)} if all(isinstance(key, dict) for key in keys):
            return {key["kid"]: key for key in keys if isinstance(key.get("kid"), str)}
    raise ValueError
