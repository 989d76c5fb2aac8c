"""Events on their way out: outbox/<hour>/<event id>, create-only for whoever puts them, removed once taken."""

import re
from datetime import UTC
from typing import Any

from pydantic import AwareDatetime, ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from keyrail.adapters.vault_paths import SecretPath
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import Unavailable
from keyrail.domain.events import LifecycleEvent

_FOLDER = SecretPath(("outbox",))
_HOUR = re.compile(r"\d{10}")


@dataclass(config=ConfigDict(extra="forbid"))
class _Document:
    event_id: str
    name: str
    at: AwareDatetime
    tenant: str
    subject: str
    facts: dict[str, Any]


_DOCUMENT = TypeAdapter(_Document)


class VaultEventOutbox:
    """Requests to Vault: put 1; pending 1, 1 an hour that has events, 1 an event; remove 1."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def put(self, event: LifecycleEvent) -> None:
        fields = {name: getattr(event, name) for name in _Document.__dataclass_fields__}
        document = _DOCUMENT.dump_python(_Document(**fields), mode="json")
        self._session.create(_path(event), document)  # one that is there already is the same

    def pending(self, limit: int) -> list[LifecycleEvent]:
        events: list[LifecycleEvent] = []
        for folder in self._session.list(_FOLDER):
            hour = folder.rstrip("/")
            if _HOUR.fullmatch(hour) and len(events) < limit:
                events.extend(self._of_hour(hour, limit - len(events)))
        return sorted(events, key=lambda event: event.at)

    def remove(self, event: LifecycleEvent) -> None:
        self._session.delete(_path(event))

    def _of_hour(self, hour: str, limit: int) -> list[LifecycleEvent]:
        paths = [SecretPath(("outbox", hour, name)) for name in self._session.list(SecretPath(("outbox", hour)))]
        found = (self._session.read(path) for path in paths[:limit])
        return [_decode(versioned.data) for versioned in found if versioned is not None]


def _decode(data: dict[str, Any]) -> LifecycleEvent:
    try:
        document = _DOCUMENT.validate_python(data)
    except ValidationError as error:
        raise Unavailable("the outbox holds an event that is malformed") from error
    return LifecycleEvent(**{name: getattr(document, name) for name in _Document.__dataclass_fields__})


def _path(event: LifecycleEvent) -> SecretPath:
    return SecretPath(("outbox", event.at.astimezone(UTC).strftime("%Y%m%d%H"), event.event_id))
