"""The sink `vault:<tenant>/<name>`: a KV v2 mount of its own, which consumers read under policies of their own.

The document: {"api_key": "<whole key>", "key_id": ..., "generation": n}: what Vault Agent, the Vault Secrets Operator
and External Secrets read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keyrail.adapters.vault_paths import SecretPath
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import DeadlineExceeded, DeliveryFailed, Unavailable
from keyrail.domain.sinks import Sink
from keyrail.rotation_ports import Delivered


class VaultKeyDelivery:
    """1 request to Vault each. `session` is of the delivery mount."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def read(self, sink: Sink) -> Delivered | None:
        with _as_delivery_failed("read"):
            data, version = self._session.look(SecretPath(sink.segments))
        key = (data or {}).get("api_key")
        return None if version == 0 else Delivered(key if isinstance(key, str) else "", version)

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        path = SecretPath(sink.segments)
        document = {"api_key": key, "key_id": key_id, "generation": generation}
        with _as_delivery_failed("written"):
            if version == 0:
                return self._created(path, document)
            return self._session.replace(path, document, version) is not None

    def _created(self, path: SecretPath, document: dict[str, Any]) -> bool:
        try:
            return self._session.create(path, document) is None
        except Unavailable:
            if self._session.look(path)[1] > 0:  # one that was deleted meanwhile: nobody's write since has version 0
                return False
            raise


@contextmanager
def _as_delivery_failed(what: str) -> Iterator[None]:
    try:
        yield
    except (Unavailable, DeadlineExceeded) as error:
        raise DeliveryFailed(f"the sink could not be {what}: {error.detail}") from error
