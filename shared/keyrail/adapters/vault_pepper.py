"""The pepper in Vault, for an administrator: one document, written with check-and-set."""

from dataclasses import dataclass
from datetime import datetime

from keyrail.adapters.vault_admin import AdminVault
from keyrail.domain.pepper_document import PepperVersions, decode_versions, new_pepper, require_whole


@dataclass(frozen=True)
class VaultPepperPlace:
    """What a write names is the document's version. Raises: what AdminVault does."""

    vault: AdminVault
    mount: str

    def read(self) -> tuple[PepperVersions, int] | None:
        found = self.vault.read_document(self.mount, "pepper")
        return None if found is None else (require_whole(decode_versions(found[0])), found[1])

    def write(self, versions: PepperVersions, after: int | None) -> bool:
        return self.vault.replace_document(self.mount, "pepper", versions.document(), after or 0)

    def new_value(self, version: int) -> str:
        return new_pepper(version)

    def forget_history(self) -> None:
        """The mount keeps one version of a document."""

    def unchanged_seconds(self, now: datetime) -> float:
        metadata = self.vault.get(f"{self.mount}/metadata/pepper") or {}
        _, server_now = self.vault.seal_status()
        changed_at = datetime.fromisoformat(str(metadata["updated_time"]))
        return ((server_now or now) - changed_at).total_seconds()
