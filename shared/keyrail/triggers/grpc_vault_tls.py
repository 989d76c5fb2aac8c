"""A server certificate that Vault issues, and issues anew while two thirds of its life are over."""

import logging
import random
import threading
import time

from keyrail.adapters.vault_certificates import Issued, VaultCertificates
from keyrail.domain.errors import KeyrailError
from keyrail.telemetry import log
from keyrail.triggers.grpc_tls import Certificate

_RENEW_AT = 2 / 3  # of its life: the last third is for a Vault that is away
_RETRY_SHARE = 1 / 30  # of its life between tries


class IssuedCertificate:
    """Held in memory alone. A thread renews it from `first` until `close`."""

    def __init__(self, issuer: VaultCertificates, client_ca: bytes | None) -> None:
        self._issuer, self._client_ca = issuer, client_ca
        self._next: Certificate | None = None
        self._lock, self._closed = threading.Lock(), threading.Event()

    def first(self) -> Certificate:
        """Raises: Unavailable, DeadlineExceeded."""
        issued = self._issuer.issue()
        life = issued.ends_at - time.time()
        threading.Thread(target=self._renew_forever, args=(life,), name="keyrail-tls", daemon=True).start()
        return self._certificate(issued)

    def current(self) -> Certificate | None:
        with self._lock:
            found, self._next = self._next, None
        return found

    def close(self) -> None:
        self._closed.set()

    def _certificate(self, issued: Issued) -> Certificate:
        return Certificate(issued.chain, issued.key, self._client_ca)

    def _renew_forever(self, life_seconds: float) -> None:
        pause = life_seconds * _RENEW_AT * random.uniform(0.9, 1.0)  # noqa: S311
        while not self._closed.wait(max(pause, 0.5)):
            try:
                issued = self._issuer.issue()
            except KeyrailError as error:
                log(logging.ERROR, "certificate", code=error.code, detail=error.detail)
                pause = life_seconds * _RETRY_SHARE
                continue
            with self._lock:
                self._next = self._certificate(issued)
            log(logging.INFO, "certificate", code="RENEWED")
            life_seconds = issued.ends_at - time.time()
            pause = life_seconds * _RENEW_AT * random.uniform(0.9, 1.0)  # noqa: S311
