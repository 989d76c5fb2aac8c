"""What changed last, in one small document of Vault: feed/head {"seq": 7, "ring": ["<key id>", "pepper", ...]}."""

import random
import time
from typing import Any

from keyrail.adapters.vault_paths import FEED_HEAD
from keyrail.adapters.vault_session import VaultSession, Versioned
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.ports import FEED_RING_SIZE, FeedHead

PUBLISH_SECONDS = 5.0  # then Unavailable
PAUSE_SECONDS = 0.004  # about one read and one write; the longest first pause, doubled with each loss
MAX_PAUSE_SECONDS = 0.25


class VaultChangeFeed:
    """Requests to Vault: head 1; publish 2, and 2 more for each time that another publisher came in between."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    def head(self) -> FeedHead:
        return decode_head(self._existing().data)

    def publish(self, name: str) -> None:
        ends_at = time.monotonic() + PUBLISH_SECONDS
        longest_pause = PAUSE_SECONDS
        while not self._published(name):
            if time.monotonic() > ends_at:
                raise Unavailable("too many changes at once: the feed could not be written")
            time.sleep(random.uniform(0, longest_pause))  # noqa: S311 - spreads load, guards nothing
            longest_pause = min(2 * longest_pause, MAX_PAUSE_SECONDS)

    def _published(self, name: str) -> bool:
        """False where the race is lost, or where nobody knows: naming a change twice does no harm."""
        found = self._existing()
        head = decode_head(found.data)
        ring = [*head.ring, name][-FEED_RING_SIZE:]
        try:
            return self._session.replace(FEED_HEAD, {"seq": head.seq + 1, "ring": ring}, found.version) is not None
        except DeadlineExceeded:
            return False

    def _existing(self) -> Versioned:
        found = self._session.read(FEED_HEAD)
        if found is None:
            raise Unavailable(f"{FEED_HEAD} does not exist: run `keyrail bootstrap`")
        return found


def decode_head(data: dict[str, Any]) -> FeedHead:
    """Raises: Unavailable."""
    match data:
        case {"seq": int(seq), "ring": list(ring), **rest} if not rest and type(seq) is int and seq >= len(ring):
            if all(isinstance(name, str) for name in ring):
                return FeedHead(seq, tuple(ring))
    raise Unavailable(f"{FEED_HEAD} is malformed")
