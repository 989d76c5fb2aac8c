"""What `keyrail doctor` looks at in a Vault. Nothing here writes.

Each check is a function that returns a note where all is well, and raises Wrong, or a KeyrailError, where it is not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_admin_key import MARKER
from keyrail.adapters.vault_setup import MOUNT_SETTINGS, Plan, is_pepper, role_settings
from keyrail.domain.roles import BUILT_IN_ROLES

CLOCK_SECONDS = 5.0  # keys begin and end by each function's own clock; JWT logins allow 60 s
BOOTSTRAP = "Run `keyrail bootstrap`."

Check = tuple[str, Callable[[], str]]


class Wrong(Exception):
    """`advice` says what to do. Neither text holds a secret."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.what, self.advice = what, advice


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
        if server_now is None:
            raise Wrong("the server sends no Date", "Compare the clocks by hand.")
        # the header has whole seconds, cut off: half of one more on average
        behind = (datetime.now(UTC) - server_now).total_seconds() - 0.5
        if abs(behind) > CLOCK_SECONDS:
            where = "ahead of" if behind > 0 else "behind"
            raise Wrong(f"this machine is {abs(behind):.0f} s {where} the server", "Set both clocks by NTP.")
        return f"within {CLOCK_SECONDS:.0f} s of the server's"

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
        pepper = self._document("pepper")
        if not is_pepper(pepper):
            raise Wrong("is malformed", "Restore it from a backup: without it no key can be validated.")
        return f"version {pepper['current']} is current, {len(pepper['versions'])} known"

    def _roles(self) -> str:
        roles = self._document("rbac/roles")
        if not all(isinstance(v, list) and all(isinstance(scope, str) for scope in v) for v in roles.values()):
            raise Wrong("are malformed", "Each role must be a list of scopes.")
        missing = [name for name in BUILT_IN_ROLES if name not in roles]
        if missing:
            raise Wrong(f"lack {', '.join(missing)}", BOOTSTRAP)
        return ", ".join(sorted(roles))

    def _feed(self) -> str:
        head = self._document("feed/head")
        if not isinstance(head.get("seq"), int) or not isinstance(head.get("ring"), list):
            raise Wrong("is malformed", "Write {seq: 0, ring: []} to feed/head: every instance then reads anew.")
        return f"{head['seq']} changes so far"

    def _admin_key(self) -> str:
        marker = self._document(MARKER)
        if not marker.get("handed_over"):
            raise Wrong("a bootstrap was cut off before it handed the key over", BOOTSTRAP)
        return f"key id {marker['key_id']}"

    def _document(self, path: str) -> dict[str, Any]:
        found = self.vault.read_document(self.plan.mount, path)
        if found is None:
            raise Wrong("is not there", BOOTSTRAP)
        return found[0]


def private_mode(file: Path) -> None:
    """Raises: Wrong where others than its owner can read `file`, or it is not there."""
    if not file.is_file():
        raise Wrong(f"{file} is not there", "Run `keyrail bootstrap --identities DIR`.")
    if file.stat().st_mode & 0o077:
        raise Wrong(f"{file} can be read by others", f"chmod 600 {file}, and replace what it holds.")
