"""New secret ids for the functions, under running processes: they read their file at each login.

keep the next one in a file -> note the accessor of the old one -> register the next one -> put it in place of the old
    -> wait -> destroy the old one

Killed after any step, the file in use holds a secret id that Vault accepts, and the next run goes on from there: it
makes no other one, and leaves none behind that nobody holds.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from keyrail.adapters.private_files import read_private, write_private
from keyrail.adapters.setup_documents import Step
from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_identities import SECRET_ID_BYTES
from keyrail.adapters.vault_setup import Plan
from keyrail.domain.errors import InvalidArgument

GRACE_SECONDS = 60.0  # for a login that has just read the old file; tokens it gave outlive it anyway


def rotate_identities(
    vault: AdminVault,
    plan: Plan,
    folder: Path,
    *,
    grace_seconds: float = GRACE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Step]:
    """Two steps a function that has an identity in `folder`. Raises: as set_up, and OSError."""
    identities = [_Identity(vault, plan, function, folder.absolute()) for function in plan.policies]
    there = [identity for identity in identities if identity.file.exists() or identity.next_file.exists()]
    if not there:
        raise InvalidArgument(f"{folder} holds no identity. Make them with `keyrail bootstrap --identities`.")
    for identity in there:
        yield identity.replaced()
    sleep(grace_seconds)
    for identity in there:
        yield identity.old_destroyed()


class _Identity:
    """`<function>.secret-id` is in use, `.secret-id.next` is about to be, `.secret-id.old` holds an accessor."""

    def __init__(self, vault: AdminVault, plan: Plan, function: str, folder: Path) -> None:
        self._vault, self._function = vault, function
        self._role = f"auth/{plan.auth_mount}/role/{plan.name_of(function)}"
        self.file = folder / f"{function}.secret-id"
        self.next_file = folder / f"{function}.secret-id.next"
        self._old_file = folder / f"{function}.secret-id.old"

    def replaced(self) -> Step:
        what = f"identity {self._function}"
        if not self.next_file.exists():
            if self._old_file.exists():  # only its end is missing
                return Step(what, "kept", "replaced by a run before")
            write_private(self.next_file, secrets.token_urlsafe(SECRET_ID_BYTES))
        secret_id = read_private(self.next_file) or ""
        old = self._accessor(self.file)
        if old is not None:
            write_private(self._old_file, old)
        if not self._vault.put(f"{self._role}/secret-id/lookup", secret_id=secret_id):
            self._vault.put(f"{self._role}/custom-secret-id", secret_id=secret_id)
        self.next_file.replace(self.file)
        return Step(what, "made", str(self.file))

    def old_destroyed(self) -> Step:
        what, old = f"former identity {self._function}", read_private(self._old_file)
        if old is None:
            return Step(what, "kept", "there is none")
        if old != self._accessor(self.file) and self._is_known(old):
            self._vault.put(f"{self._role}/secret-id-accessor/destroy", secret_id_accessor=old)
        self._old_file.unlink()
        return Step(what, "mended", "destroyed")

    def _accessor(self, file: Path) -> str | None:
        """None where there is no file, or Vault does not know what it holds."""
        secret_id = read_private(file)
        found = self._vault.put(f"{self._role}/secret-id/lookup", secret_id=secret_id) if secret_id else {}
        accessor = found.get("secret_id_accessor")
        return str(accessor) if accessor else None

    def _is_known(self, accessor: str) -> bool:
        return accessor in self._vault.names(f"{self._role}/secret-id")
