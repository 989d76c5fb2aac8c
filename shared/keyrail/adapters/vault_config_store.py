"""Configs in a KV v2 mount of their own, which keeps their versions: <tenant>/<name>.

A name that was destroyed as a whole has an empty document as its newest version, written before the others were
destroyed: so no writer that read one of those can bring it back.
"""

from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from keyrail.adapters.vault_paths import SecretPath
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.config import ConfigDocument, StoredConfig, decode, encode
from keyrail.domain.errors import Unavailable


class VaultConfigStore:
    """1 request to Vault each. `session` is of the config mount."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def find(self, tenant: str, name: str) -> StoredConfig:
        path = _path(tenant, name)
        data, version = self._session.look(path)
        return StoredConfig(_decoded(data, path), version)

    def find_version(self, tenant: str, name: str, version: int) -> ConfigDocument | None:
        path = _path(tenant, name)
        return _decoded(self._session.look(path, version)[0], path)

    def readable_versions(self, tenant: str, name: str) -> frozenset[int]:
        return self._session.kept_versions(_path(tenant, name))

    def write(self, tenant: str, name: str, document: ConfigDocument | None, version: int) -> int | None:
        path, data = _path(tenant, name), {} if document is None else encode(document)
        if version == 0:
            return 1 if self._session.create(path, data) is None else None
        return self._session.replace(path, data, version)

    def destroy(self, tenant: str, name: str, versions: Collection[int]) -> None:
        self._session.destroy_versions(_path(tenant, name), versions)


def _path(tenant: str, name: str) -> SecretPath:
    return SecretPath((tenant, *name.split("/")))


def _decoded(data: dict[str, Any] | None, path: SecretPath) -> ConfigDocument | None:
    if not data:
        return None
    try:
        return decode(data)
    except ValidationError as exc:  # its text holds the values, so it goes no further
        raise Unavailable(f"config {path} is malformed in {exc.error_count()} places") from None
