"""Replacing the pepper, for an administrator: `keyrail pepper rotate|status|drop`. No function's policy allows it.

rotate  adds a version and makes it current: new digests use it, old ones keep theirs until their key is rotated
drop    forgets a version that no key needs any more
"""

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_setup import Step, is_pepper
from keyrail.domain.digest import PEPPER_BYTES
from keyrail.domain.errors import Conflict, InvalidArgument, Unavailable
from keyrail.domain.housekeeping import live_pepper_versions
from keyrail.domain.records import StoredKey
from keyrail.ports import Services

PAGE = 500
SETTLE_SECONDS = 300.0  # after a change: instances keep a pepper for 60 s at most, and write what they made with it


@dataclass(frozen=True, slots=True)
class PepperStatus:
    """`keys_by_version` has every version that is there, and any that a key names; a key of two counts in both."""

    current: int
    keys_by_version: dict[int, int]
    looked_at: int


@dataclass(frozen=True)
class PepperAdmin:
    """`services` and `vault` are under the administrator's token. Every method raises what AdminVault does."""

    vault: AdminVault
    mount: str
    services: Services
    settle_seconds: float = SETTLE_SECONDS

    def rotate(self) -> Step:
        """Killed on the way: either nothing happened, or all instances read the new version within a minute."""
        document, version = self._document()
        current = max(map(int, document["versions"])) + 1
        versions = document["versions"] | {str(current): secrets.token_hex(PEPPER_BYTES)}
        self._write({"current": current, "versions": versions}, version)
        return Step("pepper", "made", f"version {current} is current")

    def status(self) -> PepperStatus:
        document, _ = self._document()
        counts, looked_at = Counter({int(version): 0 for version in document["versions"]}), 0
        for stored in self._keys():
            looked_at += 1
            counts.update(live_pepper_versions(stored, self.services.clock.now()))
        return PepperStatus(document["current"], dict(sorted(counts.items())), looked_at)

    def drop(self, version: int) -> Step:
        """Raises: Conflict where a key needs it, with ids of a few; InvalidArgument where it is the current one."""
        document, stored_version = self._document()
        what = f"pepper version {version}"
        if version == document["current"]:
            raise InvalidArgument("This is the pepper of new keys. Run `keyrail pepper rotate` first.")
        if str(version) not in document["versions"]:
            return Step(what, "kept", "it is not there")
        self._require_settled()
        users = [key.record.key_id for key in self._keys() if self._needs(key, version)]
        if users:
            raise Conflict(
                f"{len(users)} keys still need {what}: {', '.join(users[:5])}. Rotate or revoke them first.",
                code="PEPPER_IN_USE",
            )
        versions = {name: value for name, value in document["versions"].items() if name != str(version)}
        self._write({"current": document["current"], "versions": versions}, stored_version)
        return Step(what, "mended", "dropped")

    def _needs(self, key: StoredKey, version: int) -> bool:
        return version in live_pepper_versions(key, self.services.clock.now())

    def _document(self) -> tuple[dict[str, Any], int]:
        found = self.vault.read_document(self.mount, "pepper")
        if found is None:
            raise InvalidArgument("There is no pepper. Run `keyrail bootstrap` first.")
        if not is_pepper(found[0]):
            raise InvalidArgument("The pepper is malformed. Restore it from a backup.")
        return found

    def _write(self, document: dict[str, Any], version: int) -> None:
        """And tells every instance."""
        try:
            is_written = self.vault.replace_document(self.mount, "pepper", document, version)
        except Unavailable:  # it may have arrived all the same
            is_written = self._document()[0] == document
            if not is_written:
                raise
        if not is_written:
            raise Conflict("Somebody else changed the pepper at the same moment.", code="CONCURRENT_CHANGE")
        self.services.feed.publish("pepper")

    def _require_settled(self) -> None:
        metadata = self.vault.get(f"{self.mount}/metadata/pepper") or {}
        _, server_now = self.vault.seal_status()
        changed_at = datetime.fromisoformat(str(metadata["updated_time"]))
        age = ((server_now or self.services.clock.now()) - changed_at).total_seconds()
        if age < self.settle_seconds:
            wait = self.settle_seconds - age
            text = f"The pepper was changed a moment ago, and instances may still use it. Wait {wait:.0f} s."
            raise Conflict(text, code="CONCURRENT_CHANGE")

    def _keys(self) -> Iterator[StoredKey]:
        """Raises: Unavailable at a record that can't be read: what it needs is not known."""
        after: str | None = None
        while True:
            page = self.services.keys.list_all_ids(after, PAGE)
            for key_id in page.key_ids:
                stored = self.services.keys.find(key_id)
                if stored is not None:
                    yield stored
            after = page.next_after
            if after is None:
                return
