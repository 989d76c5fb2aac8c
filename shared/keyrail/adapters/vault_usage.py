"""When each generation was used last, in Vault: usage/<first 2 of id>/<key id>."""

import time
from collections.abc import Callable
from typing import Any

from keyrail.adapters.batched_usage import BatchedUsageLog
from keyrail.adapters.vault_paths import SecretPath
from keyrail.adapters.vault_session import VaultSession


class VaultUsageLog(BatchedUsageLog):
    def __init__(
        self, session: VaultSession, elapsed_seconds: Callable[[], float] = time.monotonic, *, background: bool = True
    ) -> None:
        super().__init__(_UsageInVault(session), elapsed_seconds, background=background)


class _UsageInVault:
    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def read(self, key_id: str) -> tuple[dict[str, Any], int] | None:
        found = self._session.read(_path(key_id))
        return None if found is None else (found.data, found.version)

    def write(self, key_id: str, document: dict[str, Any], version: int) -> bool:
        if version == 0:
            return self._session.create(_path(key_id), document) is None
        return self._session.replace(_path(key_id), document, version) is not None


def _path(key_id: str) -> SecretPath:
    return SecretPath(("usage", key_id[:2], key_id))
