"""The operations in this process, over the memory adapters or over a real Vault with each function's own identity.

Time is set by hand and everywhere the same, so that "within a second" is a step of the clock and no waiting.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from deployed import SOURCES, Deployment

from keyrail.adapters.cached_lookup import CacheBounds, CachedLookup
from keyrail.adapters.memory_documents import MemoryPepperSource, MemoryRoleSource
from keyrail.adapters.memory_feed import MemoryChangeFeed
from keyrail.adapters.memory_keys import MemoryKeyStore
from keyrail.adapters.vault_documents import VaultPepperSource, VaultRoleSource
from keyrail.adapters.vault_feed import VaultChangeFeed
from keyrail.adapters.vault_keys import VaultKeyStore
from keyrail.adapters.vault_session import VaultSession
from keyrail.bootstrap import build_services, vault_config
from keyrail.dev.functions import find_functions, function_of_operation
from keyrail.domain.access import Caller
from keyrail.domain.digest import Peppers
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.operations.catalogue import CATALOGUE
from keyrail.ports import ChangeFeed, KeyStore, NoMetrics, PepperSource, RoleSource, Services
from keyrail.settings import load_settings

ADMIN = Caller("0000AdminKey0000", SYSTEM_TENANT, "tester", ("*",))
OPERATIONS = {operation.name: operation for operation in CATALOGUE}
SECOND_VALIDATOR = "validate_key again"
POLL = timedelta(seconds=1)

Store = tuple[KeyStore, PepperSource, RoleSource, ChangeFeed]


class SetClock:
    def __init__(self) -> None:
        self.time = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def elapsed_seconds(self) -> float:
        return self.time.timestamp()


@dataclass(frozen=True)
class World:
    clock: SetClock
    services: Mapping[str, Services]

    @classmethod
    def over(cls, store_of: Callable[[str], Store]) -> "World":
        """Each operation, and a second validator, with a memory of its own."""
        clock = SetClock()
        plain = build_services(load_settings({"KEYRAIL_STORE": "memory", "KEYRAIL_METRICS": "none"}))
        return cls(clock, {name: _services(plain, clock, store_of(name)) for name in [*OPERATIONS, SECOND_VALIDATOR]})

    def call(self, name: str, /, **fields: Any) -> Any:
        """The operation's reply. Raises: KeyrailError."""
        operation = OPERATIONS[name.removesuffix(" again")]
        return operation.run(operation.request.model_validate(fields), ADMIN, self.services[name])

    def passes(self, time: timedelta) -> datetime:
        """At least the time after which every process knows of every change."""
        self.clock.time += POLL + time
        return self.clock.time


def _services(plain: Services, clock: SetClock, store: Store) -> Services:
    keys, peppers, roles, feed = store
    bounds = CacheBounds(poll_seconds=POLL.total_seconds(), background=False)
    lookup = CachedLookup(keys, peppers, roles, feed, clock, NoMetrics(), bounds)
    return replace(plain, keys=keys, lookup=lookup, feed=feed, clock=clock)


def memory_stores() -> Callable[[str], Store]:
    """One for all."""
    peppers = MemoryPepperSource(Peppers(1, {1: b"\x01" * 32}))
    store = MemoryKeyStore(), peppers, MemoryRoleSource(), MemoryChangeFeed()
    return lambda _: store


def vault_stores(deployment: Deployment) -> Callable[[str], Store]:
    """One mount, and for each operation a session under its function's identity, with its policy."""
    sessions: dict[str, VaultSession] = {}
    function_of = function_of_operation(find_functions(SOURCES))

    def store_of(name: str) -> Store:
        if name not in sessions:
            settings = load_settings(deployment.environment(function_of[name.removesuffix(" again")]))
            sessions[name] = VaultSession(vault_config(settings))
        session = sessions[name]
        return VaultKeyStore(session), VaultPepperSource(session), VaultRoleSource(session), VaultChangeFeed(session)

    return store_of
