"""What tests need around a real Vault: a mount of their own, tokens with policies, counted calls, records to store.

Beside tests/conftest.py, whose folder pytest puts on the path: `from vault_mount import Mount`.
"""

import json
import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import hvac

from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_usage import VaultUsageLog
from keyrail.dev.openbao import OpenBao
from keyrail.domain.key_format import new_key_id
from keyrail.domain.records import Generation, KeyRecord, Rotation, Tombstone
from keyrail.ports import NoMetrics

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
ALL_RIGHTS = 'path "MOUNT/*" { capabilities = ["create", "read", "update", "list"] }'


class QuietUsageLog(VaultUsageLog):
    """The test says when a batch is written."""

    def _start_writer(self) -> threading.Thread:
        return threading.current_thread()


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


@dataclass(frozen=True)
class Mount:
    """A KV v2 mount of one test, as `keyrail bootstrap` makes it, but empty."""

    name: str
    server: OpenBao
    root: hvac.Client
    audited_from: int = 0  # bytes into Vault's audit log

    @classmethod
    def make(cls, server: OpenBao, root: hvac.Client) -> "Mount":
        name = f"keyrail-{secrets.token_hex(4)}"
        audited_from = server.audit_log.stat().st_size if server.audit_log else 0
        root.sys.enable_secrets_engine("kv", path=name, options={"version": "2"})
        ends_at = time.monotonic() + 10
        while True:
            try:
                root.secrets.kv.v2.configure(mount_point=name, cas_required=True, max_versions=1)
                return cls(name, server, root, audited_from)
            except hvac.exceptions.InvalidRequest:  # for a moment a new mount is still "upgrading"
                assert time.monotonic() < ends_at
                time.sleep(0.01)

    def put(self, path: str, data: dict[str, Any], cas: int = 0) -> None:
        self.root.secrets.kv.v2.create_or_update_secret(path, data, cas=cas, mount_point=self.name)

    def policy(self, rules: str = ALL_RIGHTS) -> str:
        """The name of a new policy; `rules` speak of MOUNT."""
        name = f"{self.name}-{secrets.token_hex(4)}"
        self.root.sys.create_or_update_policy(name, rules.replace("MOUNT", self.name))
        return name

    def token(self, rules: str = ALL_RIGHTS) -> str:
        made = self.root.auth.token.create(
            policies=[self.policy(rules)], no_default_policy=True, type="batch", ttl="5m"
        )
        return str(made["auth"]["client_token"])

    def config(self, **changes: Any) -> VaultConfig:
        """For a batch token that may do anything in this mount and nothing else."""
        given = {"address": self.server.address, "mount": self.name, **changes}
        return VaultConfig(**given) if "token" in given or "auth" in given else VaultConfig(**given, token=self.token())

    def audited(self) -> list[tuple[str, str]]:
        """Operation and path of every request for this mount, by Vault's own audit log."""
        assert self.server.audit_log is not None
        with self.server.audit_log.open() as log:
            log.seek(self.audited_from)
            entries = [json.loads(line) for line in log if f'"{self.name}/' in line]
        requests = [entry["request"] for entry in entries if entry["type"] == "request"]
        mine = [each for each in requests if each.get("path", "").startswith(f"{self.name}/")]
        return [(each["operation"], each["path"].removeprefix(f"{self.name}/")) for each in mine]


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
