"""For the tests of `keyrail bootstrap` and `keyrail doctor`: a mount of one's own, and the command as a process."""

import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
from dev_process import run_here

from keyrail.adapters.setup_documents import Step
from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_setup import Plan, read_policies
from keyrail.bootstrap import build_services, vault_config
from keyrail.dev.openbao import OpenBao
from keyrail.domain.decisions import Need
from keyrail.ports import Services
from keyrail.settings import Settings, load_settings
from keyrail.triggers.cli_bootstrap import Bootstrap
from keyrail.validation import check_key

FUNCTIONS = Path(__file__).parents[2] / "functions"


@dataclass(frozen=True)
class Place:
    """A mount that nobody else uses, under its root token."""

    vault: OpenBao
    root: hvac.Client
    mount: str

    @classmethod
    def make(cls, vault: OpenBao) -> "Place":
        return cls(vault, hvac.Client(vault.address, vault.root_token), f"boot-{secrets.token_hex(4)}")

    @property
    def plan(self) -> Plan:
        return self.plan_of(read_policies(FUNCTIONS))

    def plan_of(self, policies: dict[str, str]) -> Plan:
        config, delivery = self.other_mounts
        return Plan(policies, self.mount, config_mount=config, delivery_mount=delivery)

    @property
    def other_mounts(self) -> tuple[str, str]:
        return f"{self.mount}-config", f"{self.mount}-delivery"

    @property
    def settings(self) -> Settings:
        return load_settings({**self.env, "KEYRAIL_FEED_POLL": "inline", "KEYRAIL_METRICS": "none"})

    @property
    def env(self) -> dict[str, str]:
        config, delivery = self.other_mounts
        return {
            "VAULT_ADDR": self.vault.address,
            "VAULT_TOKEN": self.vault.root_token,
            "KEYRAIL_VAULT_MOUNT": self.mount,
            "KEYRAIL_CONFIG_MOUNT": config,
            "KEYRAIL_DELIVERY_MOUNT": delivery,
        }

    @property
    def admin(self) -> AdminVault:
        return AdminVault(vault_config(self.settings))

    def services(self) -> Services:
        return build_services(self.settings)

    def bootstrap(self, **options: Any) -> tuple[list[Step], list[str]]:
        """In this process: its steps, and the keys it handed over."""
        keys: list[str] = []
        run = Bootstrap(self.settings, options.pop("functions", FUNCTIONS), lambda _, key: keys.append(key), **options)
        return list(run.steps()), keys

    def keyrail(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The command as a process, with root's token."""
        with self.start(*arguments, **env) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def keyrail_here(self, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """The command in this process: ten times as fast."""
        return run_here(*arguments, **{**self.env, **env})

    def start(self, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("VAULT_", "KEYRAIL_"))}
        return subprocess.Popen(
            [sys.executable, "-c", "from keyrail.triggers.cli import main; main()", *arguments],
            env={**inherited, **self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def document(self, path: str) -> dict[str, Any]:
        found = self.admin.read_document(self.mount, path)
        assert found is not None
        return found[0]

    def code_of(self, key: str) -> str:
        return str(check_key(key, Need(), self.services()).code)

    def live_admin_keys(self) -> list[str]:
        """Key ids in the system tenant that still work."""
        services = self.services()
        now = services.clock.now()
        found = [services.keys.find(key_id) for key_id in services.keys.list_ids("system", None, 100).key_ids]
        return [stored.record.key_id for stored in found if stored is not None and stored.state_at(now) == "active"]

    def remove(self) -> None:
        for mount in (self.mount, *self.other_mounts):
            self.root.sys.disable_secrets_engine(mount)
        for function in self.plan.policies:
            self.root.sys.delete_policy(self.plan.name_of(function))
            self.root.auth.approle.delete_role(self.plan.name_of(function))
