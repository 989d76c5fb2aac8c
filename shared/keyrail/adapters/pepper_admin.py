"""Making and replacing the pepper, for an administrator: `keyrail pepper rotate|status|drop`. No function's policy
allows it.

rotate  adds a version and makes it current: new digests use it, old ones keep theirs until their key is rotated
drop    forgets a version that no key needs any more
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from keyrail.adapters.setup_documents import Step
from keyrail.domain.errors import Conflict, InvalidArgument, Unavailable
from keyrail.domain.housekeeping import live_pepper_versions
from keyrail.domain.pepper_document import PepperVersions
from keyrail.domain.records import StoredKey
from keyrail.ports import Services

PAGE = 500
SETTLE_SECONDS = 300.0  # after a change: instances keep a pepper for 60 s at most, and write what they made with it


class PepperPlace(Protocol):
    """Where the pepper is kept. Raises: Unavailable, PermissionDenied."""

    def read(self) -> tuple[PepperVersions, Any] | None:
        """What is there, and what the write after it must name. Raises: InvalidArgument where it is malformed."""
        ...

    def write(self, versions: PepperVersions, after: Any) -> bool:
        """False where something else is there than was read (None: nothing), and then that stays.

        Raises: Unavailable also where nobody knows what became of it.
        """
        ...

    def new_value(self, version: int) -> str:
        """The value of a version that is to be added."""
        ...

    def forget_history(self) -> None:
        """What was there before the last write can't be had any more."""
        ...

    def unchanged_seconds(self, now: datetime) -> float:
        """Since the last write, by the clock of whoever keeps it; by `now` where it tells no time."""
        ...


def ensure_pepper(place: PepperPlace) -> Step:
    """Never overwritten: without it no digest can be compared again."""
    if place.read() is None and place.write(PepperVersions(1, {1: place.new_value(1)}), None):
        return Step("pepper", "made")
    return Step("pepper", "kept")


@dataclass(frozen=True, slots=True)
class PepperStatus:
    """`keys_by_version` has every version that is there, and any that a key names; a key of two counts in both."""

    current: int
    keys_by_version: dict[int, int]
    looked_at: int


@dataclass(frozen=True)
class PepperAdmin:
    """`services` and `place` are under the administrator's rights. Every method raises what PepperPlace does."""

    place: PepperPlace
    services: Services
    settle_seconds: float = SETTLE_SECONDS

    def rotate(self) -> Step:
        """Killed on the way: either nothing happened, or all instances read the new version within a minute."""
        versions, mark = self._stored()
        rotated = versions.with_next(self.place.new_value(versions.next_version))
        self._write(rotated, mark)
        return Step("pepper", "made", f"version {rotated.current} is current")

    def status(self) -> PepperStatus:
        versions, _ = self._stored()
        counts, looked_at = Counter(dict.fromkeys(versions.values, 0)), 0
        for stored in self._keys():
            looked_at += 1
            counts.update(live_pepper_versions(stored, self.services.clock.now()))
        return PepperStatus(versions.current, dict(sorted(counts.items())), looked_at)

    def drop(self, version: int) -> Step:
        """Raises: Conflict where a key needs it, with ids of a few; InvalidArgument where it is the current one."""
        versions, mark = self._stored()
        what = f"pepper version {version}"
        if version == versions.current:
            raise InvalidArgument("This is the pepper of new keys. Run `keyrail pepper rotate` first.")
        if version not in versions.values:
            self.place.forget_history()  # where a drop was cut off before it did
            return Step(what, "kept", "it is not there")
        self._require_settled()
        users = [key.record.key_id for key in self._keys() if self._needs(key, version)]
        if users:
            raise Conflict(
                f"{len(users)} keys still need {what}: {', '.join(users[:5])}. Rotate or revoke them first.",
                code="PEPPER_IN_USE",
            )
        self._write(versions.without(version), mark)
        self.place.forget_history()
        return Step(what, "mended", "dropped")

    def _needs(self, key: StoredKey, version: int) -> bool:
        return version in live_pepper_versions(key, self.services.clock.now())

    def _stored(self) -> tuple[PepperVersions, Any]:
        found = self.place.read()
        if found is None:
            raise InvalidArgument("There is no pepper. Run `keyrail bootstrap` first.")
        return found

    def _write(self, versions: PepperVersions, mark: Any) -> None:
        """And tells every instance."""
        try:
            is_written = self.place.write(versions, mark)
        except Unavailable:  # it may have arrived all the same
            is_written = self._stored()[0] == versions
            if not is_written:
                raise
        if not is_written:
            raise Conflict("Somebody else changed the pepper at the same moment.", code="CONCURRENT_CHANGE")
        self.services.feed.publish("pepper")

    def _require_settled(self) -> None:
        wait = self.settle_seconds - self.place.unchanged_seconds(self.services.clock.now())
        if wait > 0:
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
