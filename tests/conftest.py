"""One real OpenBao for the run (one a worker under pytest-xdist), and a mount of its own for each test that asks."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import hvac
import pytest

from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_session import VaultSession
from keyrail.dev.openbao import OpenBao
from keyrail.domain.key_format import new_key_id
from keyrail.domain.records import Generation, KeyRecord, Rotation, Tombstone
from keyrail.ports import NoMetrics

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """Shared: a test that stops, seals or breaks a server starts one of its own."""
    with OpenBao(tmp_path_factory.mktemp("openbao"), audit=True) as server:
        yield server


@pytest.fixture(scope="session")
def root(openbao: OpenBao) -> hvac.Client:
    """For what a test prepares; what it tests has a token with a policy."""
    return hvac.Client(openbao.address, openbao.root_token)


@dataclass
class RecordedMetrics(NoMetrics):
    """Which calls went to Vault, and what the breaker did."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    breaker_states: list[bool] = field(default_factory=list)

    def vault_call(self, verb: str, outcome: str, seconds: float) -> None:
        self.calls.append((verb, outcome))

    def breaker(self, is_open: bool) -> None:
        self.breaker_states.append(is_open)

    def count(self, verb: str, outcome: str | None = None) -> int:
        return sum(v == verb and outcome in (None, o) for v, o in self.calls)


@pytest.fixture
def metrics() -> RecordedMetrics:
    return RecordedMetrics()


@dataclass(frozen=True)
class Mount:
    """A KV v2 mount of one test, as `keyrail bootstrap` makes it, but empty."""

    name: str
    server: OpenBao
    root: hvac.Client

    def put(self, path: str, data: dict[str, Any], cas: int = 0) -> None:
        self.root.secrets.kv.v2.create_or_update_secret(path, data, cas=cas, mount_point=self.name)

    def token(self, policy: str | None = None, ttl: str = "5m") -> str:
        """A batch token; `policy` speaks of MOUNT, and by default allows all a function could want of it."""
        policy = policy or 'path "MOUNT/*" { capabilities = ["create", "read", "update", "list"] }'
        name = f"{self.name}-{secrets.token_hex(4)}"
        self.root.sys.create_or_update_policy(name, policy.replace("MOUNT", self.name))
        made = self.root.auth.token.create(policies=[name], no_default_policy=True, type="batch", ttl=ttl)
        return str(made["auth"]["client_token"])

    def config(self, token: str | None = None, **changes: Any) -> VaultConfig:
        config = VaultConfig(address=self.server.address, mount=self.name, token=token or self.token())
        return replace(config, **changes)

    def audited_requests(self) -> int:
        """How many requests for this mount Vault has seen, by its own audit log."""
        assert self.server.audit_log is not None
        lines = self.server.audit_log.read_text().splitlines()
        return sum('"type":"request"' in line and f'"path":"{self.name}/' in line for line in lines)


@pytest.fixture
def mount(openbao: OpenBao, root: hvac.Client) -> Iterator[Mount]:
    yield from _mount(openbao, root)


def _mount(server: OpenBao, root: hvac.Client) -> Iterator[Mount]:
    name = f"keyrail-{secrets.token_hex(4)}"
    root.sys.enable_secrets_engine("kv", path=name, options={"version": "2"})
    ends_at = time.monotonic() + 10
    while True:
        try:
            root.secrets.kv.v2.configure(mount_point=name, cas_required=True, max_versions=1)
            break
        except hvac.exceptions.InvalidRequest:  # for a moment a new mount is still "upgrading"
            assert time.monotonic() < ends_at
            time.sleep(0.01)
    yield Mount(name, server, root)
    root.sys.disable_secrets_engine(name)


@pytest.fixture
def vault_session(mount: Mount, metrics: RecordedMetrics) -> Iterator[VaultSession]:
    session = VaultSession(mount.config(), metrics)
    yield session
    session.close()


def a_record(key_id: str | None = None, **changes: Any) -> KeyRecord:
    generation = Generation(n=1, digest="ab" * 32, pepper_version=1, state="current", activated_at=NOW)
    record = KeyRecord(
        key_id=key_id or new_key_id(),
        tenant="acme",
        env="live",
        prefix="krl",
        owner="ml-team",
        name="a key",
        created_at=NOW,
        created_by="0" * 16,
        generations=(generation,),
        rotation=Rotation(grace_seconds=60, max_grace_seconds=600),
        scopes=("ml:infer",),
        metadata={"cost": {"centre": 7}},
    )
    return replace(record, **changes)


def a_tombstone(key_id: str, reason: str = "leaked") -> Tombstone:
    return Tombstone(key_id=key_id, revoked_at=NOW, revoked_by="0" * 16, reason=reason)
