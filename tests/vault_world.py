"""Keyrail's own services over real mounts, at a clock that tests move: what functions have, without their HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keyrail.bootstrap import build_services
from keyrail.domain.access import Caller
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.domain.roles import BUILT_IN_ROLES
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.settings import load_settings
from vault_mount import Mount

ADMIN = Caller("0Keyrail0AdminId", SYSTEM_TENANT, "platform-team", ("*",))
RIGHTS = """
path "MOUNT/*" { capabilities = ["create", "read", "update", "list", "delete"] }
path "DELIVERY/*" { capabilities = ["create", "read", "update"] }
path "CONFIGS/*" { capabilities = ["create", "read", "update", "list"] }
"""


class MovedClock:
    """Begins at the real time, since tokens and certificates live by that. It moves in jumps, and a microsecond each
    time it is read: no two changes have the same time."""

    def __init__(self) -> None:
        self.began_at = datetime.now(UTC).replace(microsecond=0)
        self.seconds = 0.0

    def now(self) -> datetime:
        self.began_at += timedelta(microseconds=1)
        return self.began_at + timedelta(seconds=self.seconds)

    def elapsed_seconds(self) -> float:
        return self.seconds


class VaultWorld:
    def __init__(self, mount: Mount, delivery: Mount, configs: Mount, **env: str) -> None:
        self.mount, self.configs, self.clock = mount, configs, MovedClock()
        mount.put("pepper", {"current": 1, "versions": {"1": "ab" * 32}})
        mount.put("rbac/roles", {name: list(scopes) for name, scopes in BUILT_IN_ROLES.items()})
        mount.put("feed/head", {"seq": 0, "ring": []})
        self.env = {
            "VAULT_ADDR": mount.server.address,
            "VAULT_TOKEN": mount.token(RIGHTS.replace("DELIVERY", delivery.name).replace("CONFIGS", configs.name)),
            "KEYRAIL_VAULT_MOUNT": mount.name,
            "KEYRAIL_DELIVERY_MOUNT": delivery.name,
            "KEYRAIL_CONFIG_MOUNT": configs.name,
            "KEYRAIL_FEED_POLL": "inline",
            **env,
        }
        self.services = self.new_services()

    def new_services(self, **env: str) -> Services:
        """As of another process."""
        services = build_services(load_settings(self.env | env))
        lookup: Any = services.lookup
        lookup._clock = self.clock
        return replace(services, clock=self.clock)

    def call(self, operation: Operation, caller: Caller = ADMIN, **fields: Any) -> Any:
        self.clock.seconds += 2.0  # more than the feed's poll
        return operation.run(operation.request.model_validate(fields), caller, self.services)


@contextmanager
def vault_world(mount: Mount, **env: str) -> Iterator[VaultWorld]:
    delivery, configs = (Mount.make(mount.server, mount.root) for _ in range(2))
    try:
        yield VaultWorld(mount, delivery, configs, **env)
    finally:
        for made in (delivery, configs):
            mount.root.sys.disable_secrets_engine(made.name)
