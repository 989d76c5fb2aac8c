"""What Keyrail needs to find in a Vault, made step by step. Each step looks first, so a run that was killed
after any write is finished by the next one, and a run over a finished Vault changes nothing.

mounts -> their settings -> policies -> AppRole -> one role a function -> pepper -> roles -> feed
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyrail.adapters.pepper_admin import ensure_pepper
from keyrail.adapters.setup_documents import Step, ensure_roles
from keyrail.adapters.vault_admin import AdminVault, MountDocuments
from keyrail.adapters.vault_pepper import VaultPepperPlace
from keyrail.domain.config import KEPT_VERSIONS
from keyrail.domain.errors import InvalidArgument, Unavailable

MOUNT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
DESCRIPTION = "Keyrail"  # of the mounts that we make
POLICY_FILES_MOUNT = "keyrail"  # the mount that functions/*/policy.hcl speak of
MOUNT_SETTINGS = {"cas_required": True, "max_versions": 1}  # docs/concepts.md "The record"
CONFIG_MOUNT_SETTINGS = {"cas_required": True, "max_versions": KEPT_VERSIONS}
DELIVERY_MOUNT_SETTINGS = {"cas_required": True, "max_versions": 1}  # no old key lies about, not even as a history
MOUNT_READY_SECONDS = 10.0  # a new KV v2 mount answers 400 for a moment, while it sets itself up
TOKEN_TTL_SECONDS = 15 * 60  # batch tokens can't be revoked: the longest that a stolen one works
ROLE_SETTINGS: dict[str, Any] = {
    "bind_secret_id": True,
    "token_type": "batch",  # no lease each, so that logging in often costs the server nothing
    "token_ttl": TOKEN_TTL_SECONDS,
    "token_max_ttl": TOKEN_TTL_SECONDS,
    "token_no_default_policy": True,
}


@dataclass(frozen=True)
class Plan:
    """`policies`: the text of policy.hcl by function, as in the files. Raises: InvalidArgument."""

    policies: dict[str, str]
    mount: str = "keyrail"
    auth_mount: str = "approle"
    config_mount: str = "keyrail-config"
    database_mount: str = "database"
    delivery_mount: str = "keyrail-delivery"
    pki_mount: str = "pki"

    def __post_init__(self) -> None:
        for name in (
            self.mount,
            self.auth_mount,
            self.config_mount,
            self.database_mount,
            self.delivery_mount,
            self.pki_mount,
        ):
            if not MOUNT.fullmatch(name):
                raise InvalidArgument(f"A mount's name must match {MOUNT.pattern}.")
        if not self.policies:
            raise InvalidArgument("No function was found. Point --functions at the folder that holds them.")

    def name_of(self, function: str) -> str:
        """Of its policy and of its AppRole role: two deployments in one Vault must not share them."""
        return f"{self.mount}-{function}"

    def policy_of(self, function: str) -> str:
        text = self.policies[function]
        for in_files, here in self._mounts().items():
            text = text.replace(f'path "{in_files}/', f'path "{here}/')
        return text

    def other_mounts(self) -> dict[str, dict[str, Any]]:
        """Those that stand beside the one of the records, with their settings."""
        return {self.config_mount: CONFIG_MOUNT_SETTINGS, self.delivery_mount: DELIVERY_MOUNT_SETTINGS}

    def _mounts(self) -> dict[str, str]:
        """Ours by what the files call them."""
        return {
            POLICY_FILES_MOUNT: self.mount,
            "keyrail-config": self.config_mount,
            "keyrail-delivery": self.delivery_mount,
            "database": self.database_mount,
            "pki": self.pki_mount,
        }


def read_policies(*folders: Path) -> dict[str, str]:
    """policy.hcl by the name of its directory."""
    files = (file for folder in folders for file in sorted(folder.glob("*/policy.hcl")))
    return {file.parent.name: file.read_text() for file in files}


def set_up(vault: AdminVault, plan: Plan) -> Iterator[Step]:
    """Each step is done when it is yielded. Raises: Unavailable, PermissionDenied, InvalidArgument."""
    yield _mount(vault, plan.mount)
    yield _mount_settings(vault, plan.mount)
    for mount, settings in plan.other_mounts().items():
        yield _mount(vault, mount)
        yield _other_mount_settings(vault, mount, settings)
    for function in plan.policies:
        yield _policy(vault, plan.name_of(function), plan.policy_of(function))
    yield _approle(vault, plan.auth_mount)
    for function in plan.policies:
        yield _role(vault, plan.auth_mount, plan.name_of(function))
    yield ensure_pepper(VaultPepperPlace(vault, plan.mount))
    yield ensure_roles(MountDocuments(vault, plan.mount))
    yield _feed(vault, plan.mount)


def _mount(vault: AdminVault, mount: str) -> Step:
    what = f"mount {mount}/"
    there = (vault.get("sys/mounts") or {}).get(f"{mount}/")
    if there is None:
        vault.put(f"sys/mounts/{mount}", type="kv", options={"version": "2"}, description=DESCRIPTION)
        return Step(what, "made", "KV version 2")
    if there["type"] != "kv" or (there["options"] or {}).get("version") != "2":
        raise InvalidArgument(f"{mount}/ is no KV version 2 mount. Choose another with --mount.")
    return Step(what, "kept")


def _mount_settings(vault: AdminVault, mount: str) -> Step:
    what = f"settings of {mount}/"
    there = _settings_once_ready(vault, mount)
    wrong = {name: there.get(name) for name, value in MOUNT_SETTINGS.items() if there.get(name) != value}
    if not wrong:
        return Step(what, "kept")
    names = vault.names(f"{mount}/metadata/")
    if names and "pepper" not in names:
        raise InvalidArgument(
            f"{mount}/ holds something else than Keyrail's documents, which cas_required and max_versions=1 would "
            "change for whoever uses it. Choose another mount with --mount."
        )
    vault.put(f"{mount}/config", **MOUNT_SETTINGS)
    if not names:
        return Step(what, "made", "cas_required, max_versions=1")
    return Step(what, "mended", ", ".join(f"{name} was {str(value).lower()}" for name, value in wrong.items()))


def _other_mount_settings(vault: AdminVault, mount: str, wanted: dict[str, Any]) -> Step:
    what = f"settings of {mount}/"
    there = _settings_once_ready(vault, mount)
    wrong = [name for name, value in wanted.items() if there.get(name) != value]
    if not wrong:
        return Step(what, "kept")
    is_used = bool(vault.names(f"{mount}/metadata/"))
    if is_used and (vault.get("sys/mounts") or {}).get(f"{mount}/", {}).get("description") != DESCRIPTION:
        raise InvalidArgument(f"{mount}/ is somebody else's: {', '.join(wrong)} would change for whoever uses it.")
    vault.put(f"{mount}/config", **wanted)
    return Step(what, "mended" if is_used else "made", ", ".join(wrong))


def _settings_once_ready(vault: AdminVault, mount: str) -> dict[str, Any]:
    ends_at = time.monotonic() + MOUNT_READY_SECONDS
    while True:
        try:
            return vault.get(f"{mount}/config") or {}
        except InvalidArgument as error:
            if time.monotonic() > ends_at:
                raise Unavailable(f"the mount {mount}/ does not get ready: {error.public}") from error
            time.sleep(0.1)


def _policy(vault: AdminVault, name: str, text: str) -> Step:
    there = vault.get(f"sys/policies/acl/{name}")
    if there is not None and there["policy"] == text:
        return Step(f"policy {name}", "kept")
    vault.put(f"sys/policies/acl/{name}", policy=text)
    return Step(f"policy {name}", "made" if there is None else "mended")


def _approle(vault: AdminVault, auth_mount: str) -> Step:
    what = f"auth method {auth_mount}/"
    there = (vault.get("sys/auth") or {}).get(f"{auth_mount}/")
    if there is None:
        vault.put(f"sys/auth/{auth_mount}", type="approle", description="Keyrail's functions")
        return Step(what, "made")
    if there["type"] != "approle":
        raise InvalidArgument(f"{auth_mount}/ is another auth method. Choose a name with --auth-mount.")
    return Step(what, "kept")


def _role(vault: AdminVault, auth_mount: str, name: str) -> Step:
    """Settings that we don't know of, such as bound addresses, are an operator's and stay."""
    path = f"auth/{auth_mount}/role/{name}"
    wanted = wrong = role_settings(name)
    there = vault.get(path)
    if there is not None:
        wrong = {key: value for key, value in wanted.items() if there.get(key) != value}
    if not wrong:
        return Step(f"role {name}", "kept")
    vault.put(path, **wanted)
    return Step(f"role {name}", "mended", ", ".join(wrong)) if there is not None else Step(f"role {name}", "made")


def role_settings(name: str) -> dict[str, Any]:
    return {**ROLE_SETTINGS, "token_policies": [name]}


def _feed(vault: AdminVault, mount: str) -> Step:
    made = vault.create_document(mount, "feed/head", {"seq": 0, "ring": []})
    return Step("change feed", "made" if made else "kept")
