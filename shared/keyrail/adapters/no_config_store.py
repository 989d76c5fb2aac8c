"""In place of a store of configs where there is no Vault: a stored credential belongs into one."""

from collections.abc import Collection, Iterator
from typing import NoReturn

from keyrail.domain.config import ConfigDocument
from keyrail.domain.errors import InvalidArgument


class NoConfigStore:
    def find(self, tenant: str, name: str) -> NoReturn:
        raise _none()

    def find_version(self, tenant: str, name: str, version: int) -> NoReturn:
        raise _none()

    def readable_versions(self, tenant: str, name: str) -> NoReturn:
        raise _none()

    def write(self, tenant: str, name: str, document: ConfigDocument | None, version: int) -> NoReturn:
        raise _none()

    def names(self, after: str) -> Iterator[str]:
        """None: a sweep has nothing to look at."""
        return iter(())

    def destroy(self, tenant: str, name: str, versions: Collection[int]) -> NoReturn:
        raise _none()


def _none() -> InvalidArgument:
    return InvalidArgument("Configs are kept in Vault, and this deployment has none.", code="CONFIGS_NEED_VAULT")
