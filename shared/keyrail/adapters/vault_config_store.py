"""Configs in a KV v2 mount of their own, which keeps their versions: <tenant>/<name>.

A name that was destroyed as a whole has an empty document as its newest version, written before the others were
destroyed: so no writer that read one of those can bring it back.
"""

from collections.abc import Collection, Iterator
from typing import Any

from keyrail.adapters.vault_paths import SEGMENT, SecretPath
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.config import ConfigDocument, StoredConfig, decode, encode
from keyrail.domain.errors import Unavailable
from keyrail.domain.stored_form import Malformed


class VaultConfigStore:
    """1 request to Vault each, names 1 a folder. `session` is of the config mount."""

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

    def names(self, after: str) -> Iterator[str]:
        return self._names((), tuple(after.split("/")))

    def _names(self, folder: tuple[str, ...], after: tuple[str, ...]) -> Iterator[str]:
        """What Vault lists and we could not have written was put there by hand, and is passed over."""
        listed = self._session.list(SecretPath(folder) if folder else None)
        for segment, is_folder in sorted((name.rstrip("/"), name.endswith("/")) for name in listed):
            path = (*folder, segment)
            if not SEGMENT.fullmatch(segment):
                continue
            if is_folder and path >= after[: len(path)]:
                yield from self._names(path, after)
            elif not is_folder and path > after:
                yield "/".join(path)

    def destroy(self, tenant: str, name: str, versions: Collection[int]) -> None:
        self._session.destroy_versions(_path(tenant, name), versions)


def _path(tenant: str, name: str) -> SecretPath:
    return SecretPath((tenant, *name.split("/")))


def _decoded(data: dict[str, Any] | None, path: SecretPath) -> ConfigDocument | None:
    if not data:
        return None
    try:
        return decode(data)
    except Malformed as error:
        raise Unavailable(f"config {path} is malformed: {error}") from error
