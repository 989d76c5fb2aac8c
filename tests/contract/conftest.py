"""Sessions whose token may delete, for the ports that forget what is done."""

from collections.abc import Iterator

import pytest

from keyrail.adapters.vault_session import VaultSession
from vault_mount import Mount, RecordedMetrics

WITH_DELETE = 'path "MOUNT/*" { capabilities = ["create", "read", "update", "list", "delete"] }'


@pytest.fixture
def deleting_session(mount: Mount, metrics: RecordedMetrics) -> Iterator[VaultSession]:
    session = VaultSession(mount.config(token=mount.token(WITH_DELETE)), metrics)
    yield session
    session.close()
