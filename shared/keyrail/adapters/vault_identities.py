"""What a function logs in with, as two files of mode 0600: `<function>.secret-id`, and `<function>.env` with the
role id and the settings to use both. Only `keyrail bootstrap --identities DIR` writes them.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

from keyrail.adapters.private_files import read_private, write_private
from keyrail.adapters.setup_documents import Step
from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_setup import Plan
from keyrail.domain.errors import Unavailable

SECRET_ID_BYTES = 32  # from the operating system's CSPRNG


def write_identities(vault: AdminVault, plan: Plan, folder: Path) -> Iterator[Step]:
    """One step a function. An identity that Vault still accepts is kept. Raises: as set_up, and OSError."""
    for function in plan.policies:
        yield _identity(vault, plan, function, folder.absolute())


def _identity(vault: AdminVault, plan: Plan, function: str, folder: Path) -> Step:
    role = f"auth/{plan.auth_mount}/role/{plan.name_of(function)}"
    found = vault.get(f"{role}/role-id")
    if found is None:
        raise Unavailable(f"the role {plan.name_of(function)} vanished; run again")
    made = _secret_id(vault, role, folder / f"{function}.secret-id")
    env = _env(plan, found["role_id"], folder / f"{function}.secret-id")
    if read_private(folder / f"{function}.env") != env:
        write_private(folder / f"{function}.env", env)
        made = True
    return Step(f"identity {function}", "made" if made else "kept", str(folder / f"{function}.env"))


def _secret_id(vault: AdminVault, role: str, file: Path) -> bool:
    """The file comes first: killed in between, no secret id is left in Vault that nobody holds.

    One that Vault does not know is never registered again: somebody may have destroyed it for a reason.
    """
    kept = read_private(file)
    if kept is not None and vault.put(f"{role}/secret-id/lookup", secret_id=kept):
        return False
    secret_id = secrets.token_urlsafe(SECRET_ID_BYTES)
    write_private(file, secret_id)
    vault.put(f"{role}/custom-secret-id", secret_id=secret_id)
    return True


def _env(plan: Plan, role_id: str, secret_id_file: Path) -> str:
    settings = {
        "KEYRAIL_VAULT_AUTH": "approle",
        "KEYRAIL_VAULT_AUTH_MOUNT": plan.auth_mount,
        "KEYRAIL_VAULT_ROLE_ID": role_id,
        "KEYRAIL_VAULT_SECRET_ID_FILE": str(secret_id_file),
        "KEYRAIL_VAULT_MOUNT": plan.mount,
        "KEYRAIL_CONFIG_MOUNT": plan.config_mount,
        "KEYRAIL_DATABASE_MOUNT": plan.database_mount,
        "KEYRAIL_DELIVERY_MOUNT": plan.delivery_mount,
    }
    return "\n".join(f"{name}={value}" for name, value in settings.items())


def read_identity(folder: Path, function: str) -> dict[str, str]:
    """The settings in `<function>.env`. Raises: FileNotFoundError."""
    lines = (folder / f"{function}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line)
