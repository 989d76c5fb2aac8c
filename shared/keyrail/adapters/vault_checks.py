"""What `keyrail doctor` looks at in a Vault. Nothing here writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from keyrail.adapters.setup_checks import (
    BOOTSTRAP,
    Check,
    Wrong,
    admin_key_is_well,
    clock_is_well,
    pepper_is_well,
    roles_are_well,
    there,
)
from keyrail.adapters.vault_admin import AdminVault, MountDocuments
from keyrail.adapters.vault_pepper import VaultPepperPlace
from keyrail.adapters.vault_setup import MOUNT_SETTINGS, Plan, role_settings


@dataclass(frozen=True)
class VaultChecks:
    vault: AdminVault
    plan: Plan
    is_tls: bool
    is_loopback: bool

    def of_server(self) -> Iterator[Check]:
        yield "address", self._reachable
        yield "transport", self._transport
        yield "seal", self._unsealed
        yield "clock", self._clock
        yield "token", self._token

    def of_setup(self) -> Iterator[Check]:
        plan = self.plan
        yield f"mount {plan.mount}/", partial(self._mount, plan.mount, MOUNT_SETTINGS)
        for mount, settings in plan.other_mounts().items():
            yield f"mount {mount}/", partial(self._mount, mount, settings)
        for function in plan.policies:
            yield f"policy {plan.name_of(function)}", partial(self._policy, function)
        yield f"auth method {plan.auth_mount}/", self._auth_method
        for function in plan.policies:
            yield f"role {plan.name_of(function)}", partial(self._role, plan.name_of(function))
        yield "pepper", self._pepper
        yield "roles", self._roles
        yield "change feed", self._feed
        yield "admin key", self._admin_key

    def _reachable(self) -> str:
        status, _ = self.vault.seal_status()
        return f"{self.vault.address}, version {status.get('version', 'unknown')}"

    def _transport(self) -> str:
        if self.is_tls:
            return "TLS"
        if self.is_loopback:
            return "no TLS, on loopback"
        raise Wrong("no TLS to another machine: every secret travels in the clear", "Give VAULT_ADDR as https://...")

    def _unsealed(self) -> str:
        status, _ = self.vault.seal_status()
        if not status.get("initialized"):
            raise Wrong("not initialised", "Run `bao operator init` (or `vault operator init`).")
        if status.get("sealed"):
            raise Wrong("sealed", "Run `bao operator unseal` (or `vault operator unseal`).")
        return "unsealed"

    def _clock(self) -> str:
        _, server_now = self.vault.seal_status()
        return clock_is_well(server_now)

    def _token(self) -> str:
        found = self.vault.get("auth/token/lookup-self") or {}
        return "root" if "root" in found.get("policies", ()) else "accepted"

    def _mount(self, mount: str, wanted: dict[str, Any]) -> str:
        there = (self.vault.get("sys/mounts") or {}).get(f"{mount}/")
        if there is None:
            raise Wrong("is not there", BOOTSTRAP)
        if there["type"] != "kv" or (there["options"] or {}).get("version") != "2":
            raise Wrong("is no KV version 2", "Choose another with --mount.")
        settings = self.vault.get(f"{mount}/config") or {}
        wrong = [name for name, value in wanted.items() if settings.get(name) != value]
        if wrong:
            raise Wrong(f"has other settings: {', '.join(wrong)}", BOOTSTRAP)
        return "KV version 2, " + ", ".join(f"{name}={str(v).lower()}" for name, v in wanted.items())

    def _policy(self, function: str) -> str:
        there = self.vault.get(f"sys/policies/acl/{self.plan.name_of(function)}")
        if there is None:
            raise Wrong("is not there", BOOTSTRAP)
        if there["policy"] != self.plan.policy_of(function):
            raise Wrong("is not what policy.hcl says", f"Find out who changed it; then: {BOOTSTRAP}")
        return "as in policy.hcl"

    def _auth_method(self) -> str:
        there = (self.vault.get("sys/auth") or {}).get(f"{self.plan.auth_mount}/")
        if there is None or there["type"] != "approle":
            raise Wrong("is not there" if there is None else "is no AppRole", BOOTSTRAP)
        return "AppRole"

    def _role(self, name: str) -> str:
        there = self.vault.get(f"auth/{self.plan.auth_mount}/role/{name}")
        if there is None:
            raise Wrong("is not there", BOOTSTRAP)
        wrong = [key for key, value in role_settings(name).items() if there.get(key) != value]
        if wrong:
            raise Wrong(f"has other settings: {', '.join(wrong)}", BOOTSTRAP)
        return "batch tokens with its own policy alone"

    def _pepper(self) -> str:
        return pepper_is_well(VaultPepperPlace(self.vault, self.plan.mount))

    def _roles(self) -> str:
        return roles_are_well(self._documents)

    def _feed(self) -> str:
        head = there(self._documents, "feed/head")
        if not isinstance(head.get("seq"), int) or not isinstance(head.get("ring"), list):
            raise Wrong("is malformed", "Write {seq: 0, ring: []} to feed/head: every instance then reads anew.")
        return f"{head['seq']} changes so far"

    def _admin_key(self) -> str:
        return admin_key_is_well(self._documents)

    @property
    def _documents(self) -> MountDocuments:
        return MountDocuments(self.vault, self.plan.mount)


def private_mode(file: Path) -> None:
    """Raises: Wrong where others than its owner can read `file`, or it is not there."""
    if not file.is_file():
        raise Wrong(f"{file} is not there", "Run `keyrail bootstrap --identities DIR`.")
    if file.stat().st_mode & 0o077:
        raise Wrong(f"{file} can be read by others", f"chmod 600 {file}, and replace what it holds.")
