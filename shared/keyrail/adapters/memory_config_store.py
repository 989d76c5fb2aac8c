"""Configs within one process: what Vault would hold, in a dictionary."""

import json
import threading
from collections.abc import Collection, Iterator

from keyrail.domain.config import KEPT_VERSIONS, ConfigDocument, StoredConfig, decode, encode


class MemoryConfigStore:
    """Keeps JSON text, as Vault does, so that nothing a caller holds changes under it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str], list[str | None]] = {}

    def find(self, tenant: str, name: str) -> StoredConfig:
        with self._lock:
            versions = self._versions.get((tenant, name), [])
            newest = versions[-1] if versions else None
            return StoredConfig(_decoded(newest), len(versions))

    def find_version(self, tenant: str, name: str, version: int) -> ConfigDocument | None:
        with self._lock:
            return _decoded(self._readable(tenant, name).get(version))

    def readable_versions(self, tenant: str, name: str) -> frozenset[int]:
        with self._lock:
            return frozenset(self._readable(tenant, name))

    def write(self, tenant: str, name: str, document: ConfigDocument | None, version: int) -> int | None:
        with self._lock:
            versions = self._versions.setdefault((tenant, name), [])
            if len(versions) != version:
                return None
            versions.append(None if document is None else json.dumps(encode(document)))
            return len(versions)

    def names(self, after: str) -> Iterator[str]:
        with self._lock:
            paths = sorted([tenant, *name.split("/")] for tenant, name in self._versions)
        return iter(["/".join(path) for path in paths if path > after.split("/")])

    def destroy(self, tenant: str, name: str, versions: Collection[int]) -> None:
        with self._lock:
            kept = self._versions.get((tenant, name), [])
            kept[:] = [None if n in versions else text for n, text in enumerate(kept, start=1)]

    def _readable(self, tenant: str, name: str) -> dict[int, str]:
        versions = self._versions.get((tenant, name), [])
        oldest = max(1, len(versions) - KEPT_VERSIONS + 1)
        return {n: text for n, text in enumerate(versions, start=1) if n >= oldest and text is not None}


def _decoded(text: str | None) -> ConfigDocument | None:
    return None if text is None else decode(json.loads(text))
