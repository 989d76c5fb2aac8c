"""Events on their way out: outbox/<hour>/<time in the hour>-<event id>, such as outbox/2026112414/3059123456-<id>.

Create-only for whoever puts them, removed once taken. The time is in the name, so the oldest are found by listing.
outbox/sender/turn says who sends: {"turn": "<hex>", "until": "<RFC 3339>"}.
"""

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from keyrail.adapters.stored_event import decode_event
from keyrail.adapters.vault_paths import SecretPath
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain import stored_form
from keyrail.domain.events import LifecycleEvent

_FOLDER = SecretPath(("outbox",))
_TURN = SecretPath(("outbox", "sender", "turn"))
_HOUR = re.compile(r"\d{10}")
_NAME = re.compile(r"\d{10}-[0-9a-f]{32}")
LONGEST_TURN = timedelta(hours=1)  # one said to last longer is from a clock that was wrong


class VaultEventOutbox:
    """Requests to Vault: put 1; pending 1, 1 an hour that has events, 1 an event; remove 1; waiting 1, 1 an hour;
    take_turn 1, and 3 where one was left behind; end_turn 2."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def put(self, event: LifecycleEvent) -> None:
        self._session.create(_path(event), stored_form.encode(event))  # one that is there already is the same

    def pending(self, limit: int) -> list[LifecycleEvent]:
        events: list[LifecycleEvent] = []
        for path in self._paths():
            if len(events) >= limit:
                break
            found = self._session.read(path)
            event = None if found is None else decode_event(str(path), found.data)
            if event is not None:
                events.append(event)
        return events

    def remove(self, event: LifecycleEvent) -> None:
        self._session.delete(_path(event))

    def waiting(self) -> int:
        return sum(1 for _ in self._paths())

    def take_turn(self, now: datetime, seconds: float) -> str | None:
        turn = secrets.token_hex(16)
        document = {"turn": turn, "until": (now + timedelta(seconds=seconds)).isoformat()}
        standing = self._session.create(_TURN, document)
        if standing is None:
            return turn
        if _lasts(standing.data, now):
            return None
        self._session.delete(_TURN)  # whoever had it was killed
        return turn if self._session.create(_TURN, document) is None else None

    def end_turn(self, turn: str) -> None:
        standing = self._session.read(_TURN)
        if standing is not None and standing.data.get("turn") == turn:
            self._session.delete(_TURN)

    def _paths(self) -> Iterator[SecretPath]:
        """The oldest first."""
        for folder in self._session.list(_FOLDER):
            hour = folder.rstrip("/")
            if _HOUR.fullmatch(hour):
                names = self._session.list(SecretPath(("outbox", hour)))
                yield from (SecretPath(("outbox", hour, name)) for name in names if _NAME.fullmatch(name))


def _lasts(turn: dict[str, Any], now: datetime) -> bool:
    try:
        until = datetime.fromisoformat(str(turn.get("until")))
        return now < until <= now + LONGEST_TURN
    except (ValueError, TypeError):
        return False


def _path(event: LifecycleEvent) -> SecretPath:
    at = event.at.astimezone(UTC)
    return SecretPath(("outbox", at.strftime("%Y%m%d%H"), f"{at:%M%S%f}-{event.event_id}"))
