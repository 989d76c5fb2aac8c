"""Two stores of one deployment, Vault and DynamoDB, and `keyrail migrate` between them."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev_process import clean_environment, run_here

from counted_table import CountedTable
from keyrail.dev.aws import CREDENTIALS
from keyrail.domain.decisions import Need
from keyrail.domain.records import StoredKey
from keyrail.operations import issue_key, revoke_key, rotate, update_key
from keyrail.ports import Services
from keyrail.validation import check_key
from vault_world import VaultWorld

TENANTS = ("acme", "globex")
PATIENT = {"KEYRAIL_DYNAMODB_DEADLINE_SECONDS": "10", "KEYRAIL_VAULT_DEADLINE_SECONDS": "10"}  # of a busy machine
SOON = {"interval_seconds": 3600, "grace_seconds": 60, "sink": "vault:acme/a-key"}


@dataclass
class Between:
    """`keys`: whole keys by id, as their holders have them."""

    world: VaultWorld
    table: CountedTable
    endpoint: str
    report: Path
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        on_aws = {**CREDENTIALS, "AWS_ENDPOINT_URL_DYNAMODB": self.endpoint}
        return {**self.world.env, **on_aws, "KEYRAIL_DYNAMODB_TABLE": self.table.name, **PATIENT}

    def services(self, store: str) -> Services:
        """As of another process."""
        return self.world.new_services(**{**self.env, "KEYRAIL_STORE": store})

    def switch(self, store: str) -> None:
        """What `issue` and the others work on."""
        self.world.services = self.services(store)

    def issue(self, **fields: Any) -> str:
        made = self.world.call(issue_key.OPERATION, **{"tenant": "acme", "owner": "ml-team", "name": "a key", **fields})
        self.keys[made.key_id] = made.key
        return str(made.key_id)

    def revoke(self, key_id: str) -> None:
        self.world.call(revoke_key.OPERATION, key_id=key_id, reason="leaked")

    def update(self, key_id: str, **fields: Any) -> None:
        self.world.call(update_key.OPERATION, key_id=key_id, **fields)

    def fill(self, count: int) -> list[str]:
        """Keys of two tenants, in every state that a key can be in."""
        ids = [self.issue(tenant=TENANTS[n % 2], name=f"key {n}") for n in range(count)]
        ids.append(self.issue(rotation=SOON))
        self.revoke(ids[0])
        self.update(ids[1], state="disabled")
        rotated = self.world.call(rotate.OPERATION, key_id=ids[2], grace_seconds=3600)
        self.keys[f"{ids[2]} rotated"] = rotated.key
        self.issue(lifetime_seconds=60)
        return ids

    def migrate(self, target: str, *options: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """In this process."""
        given = ("migrate", "--to", target, "--report", str(self.report), "--yes", "--json", *options)
        return run_here(*given, **{**self.env, **env})

    def counts(self, target: str, *options: str) -> dict[str, Any]:
        done = self.migrate(target, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return {name: count for name, count in found.items() if count}

    def start(self, target: str, *options: str) -> "subprocess.Popen[str]":
        """As a process."""
        arguments = ["migrate", "--to", target, "--report", str(self.report), "--yes", "--json", *options]
        return subprocess.Popen(
            [sys.executable, "-c", "from keyrail.triggers.cli import main; main()", *arguments],
            env=clean_environment() | self.env | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def codes(self, store: str) -> dict[str, str]:
        """What each holder of a key is told."""
        services = self.services(store)
        return {name: str(check_key(key, Need(), services).code) for name, key in self.keys.items()}

    def held(self, store: str) -> dict[str, StoredKey]:
        keys = self.services(store).keys
        found = {key_id: keys.find(key_id) for key_id in keys.list_all_ids(None, 10_000).key_ids}
        return {key_id: stored for key_id, stored in found.items() if stored is not None}

    def are_alike(self) -> bool:
        vault, dynamodb = (
            {key_id: (stored.record, stored.tombstone) for key_id, stored in self.held(store).items()}
            for store in ("vault", "dynamodb")
        )
        return vault == dynamodb

    def listed(self, store: str) -> list[tuple[str, ...]]:
        keys = self.services(store).keys
        return [keys.list_ids(tenant, None, 10_000).key_ids for tenant in TENANTS]


def interrupt(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """As Ctrl-C does. Exit code and output."""
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err
