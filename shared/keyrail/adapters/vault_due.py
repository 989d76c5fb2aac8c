"""What a tick must look at: due/<hour>/<minute and second>-<kind>-<name>, such as due/2026112414/3059-k-<key id>.

The time is in the name, so listing an hour tells what is due; the future hours are never listed. A key's name is
its id. Any other's is a fingerprint, and its document holds the name: names have slashes, segments don't.
"""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from keyrail.adapters.vault_paths import SecretPath
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.digest import fingerprint
from keyrail.domain.key_format import KEY_ID
from keyrail.rotation_ports import DueEntry, DueKind
from keyrail.telemetry import log

_FOLDER = SecretPath(("due",))
_HOUR = re.compile(r"\d{10}")
_NAME = re.compile(rf"(\d{{4}})-(?:k-({KEY_ID.pattern})|([cs])-[0-9a-f]{{32}})")
_KINDS: dict[str, DueKind] = {"c": "config", "s": "sweep"}


class VaultDueIndex:
    """Requests to Vault: add 1, remove 1, due 1 + one an hour that has entries, and one for each due one that is
    not a key's."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def add(self, entry: DueEntry) -> bool:
        document = {} if entry.kind == "key" else {"name": entry.subject}
        return self._session.create(_path(entry), document) is None

    def remove(self, entry: DueEntry) -> None:
        self._session.delete(_path(entry))

    def due(self, now: datetime) -> list[DueEntry]:
        return sorted(self._due(now), key=lambda entry: entry.at)

    def _due(self, now: datetime) -> Iterator[DueEntry]:
        this_hour = now.strftime("%Y%m%d%H")
        for folder in self._session.list(_FOLDER):
            hour = folder.rstrip("/")
            if not _HOUR.fullmatch(hour) or hour > this_hour:
                continue
            for name in self._session.list(SecretPath(("due", hour))):
                entry = self._entry(hour, name, now)
                if entry is not None:
                    yield entry

    def _entry(self, hour: str, name: str, now: datetime) -> DueEntry | None:
        """None where its time is yet to come, it was removed since it was listed, or somebody put it there by hand:
        nothing waits for that."""
        match = _NAME.fullmatch(name)
        at = _time(hour + match[1]) if match is not None else None
        if match is None or at is None:
            log(logging.ERROR, "due_index", hour=hour, detail="it holds a name that is not ours, which is passed over")
            return None
        if at > now:
            return None
        if match[2] is not None:
            return DueEntry(at, "key", match[2])
        found = self._session.read(SecretPath(("due", hour, name)))
        return None if found is None else DueEntry(at, _KINDS[match[3]], str(found.data.get("name", "")))


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _path(entry: DueEntry) -> SecretPath:
    at = entry.at.astimezone(UTC)
    name = entry.subject if entry.kind == "key" else fingerprint(entry.subject)[:32]
    return SecretPath(("due", at.strftime("%Y%m%d%H"), f"{at:%M%S}-{entry.kind[0]}-{name}"))
