"""Keys issued, rotated, revoked and validated without pause, by several clients at once, and what must be true of them
after all: what was acknowledged is done, what was revoked is refused, and what is in memory is answered throughout."""

import http.client
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from deployed import Deployment
from http_api import Reply

MAX_STALE_SECONDS = 10.0  # longer than an election takes
SETTINGS = {"KEYRAIL_MAX_STALE_SECONDS": "10", "KEYRAIL_CACHE_TTL_SECONDS": "20"}
FRESH_SECONDS = 1.5
CLIENTS = 3
WARM_KEYS = 10
PAUSE_SECONDS = 0.05
MUTATIONS = ("issue", "rotate", "revoke")


@dataclass
class Life:
    """What a client was told of one key: the last secret it was shown, and when its revocation was acknowledged."""

    key_id: str
    text: str
    revoked_at: float | None = None


@dataclass(frozen=True)
class Truth:
    """What became of all that was acknowledged; `lost` and `accepted` are key ids."""

    acknowledged: int
    revoked: int
    lost: list[str]
    accepted: list[str]


@dataclass
class Outage:
    began_at: float
    first_done: dict[str, float] = field(default_factory=dict)
    """When the first mutation of each kind that was begun after that was acknowledged."""


class Storm:
    def __init__(self, deployment: Deployment, seed: int) -> None:
        self.deployment, self.api, self.seed = deployment, deployment.api, seed
        self.lives: list[Life] = []
        self.outages: list[Outage] = []
        self.acknowledged = self.validations = self.refusals = 0
        self.refused: list[str] = []
        self.longest_valid = 0.0
        self._warm = [self.api.issue() for _ in range(WARM_KEYS)]
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._faults: list[BaseException] = []

    # -- as long as it rages ----------------------------------------------------------------------------------------

    @contextmanager
    def raging(self) -> Iterator[None]:
        """Raises: whatever one of its clients found wrong."""
        self._ask_warm(0)
        time.sleep(FRESH_SECONDS)  # what is read while changes come in is not kept
        self._ask_warm(0)
        self.refused.clear()
        works = [(self._mutate, number) for number in range(CLIENTS)]
        works += [(self._ask_warm_on, 0), (self._ask_revoked_on, 0)]
        threads = [threading.Thread(target=self._guarded, args=work) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
        if self._faults:
            raise self._faults[0]

    def begins_an_outage(self) -> float:
        with self._lock:
            self.outages.append(Outage(time.monotonic()))
        return self.outages[-1].began_at

    def wait_until_back(self, most_seconds: float = 60.0) -> None:
        """Until a mutation of each kind that was begun since the outage is acknowledged."""
        ends_at = time.monotonic() + most_seconds
        while len(self.outages[-1].first_done) < len(MUTATIONS):
            assert time.monotonic() < ends_at, f"back are only {list(self.outages[-1].first_done)}"
            assert not self._faults, self._faults
            time.sleep(0.02)

    def back_seconds(self) -> list[float]:
        """Of each outage, when the last kind of mutation was back."""
        return [max(outage.first_done.values()) - outage.began_at for outage in self.outages]

    def _guarded(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except BaseException as fault:  # noqa: BLE001 - told to whoever waits for this thread
            self._faults.append(fault)

    def _mutate(self, number: int) -> None:
        """A key's whole life, again and again; each key is one client's alone, so its end is known."""
        chance = Random(f"{self.seed}-{number}")
        while not self._ended.is_set():
            token = secrets.token_hex(8)
            made = self._until_done("issue", lambda: self.api.try_issue(f"issue-{token}"))
            if made is None:
                return
            if "key" not in made:  # its reply was lost, and with it the secret
                made = self._until_done("rotate", lambda: self.api.rotate(made["key_id"], f"heal-{token}", grace_seconds=0))
                if made is None:
                    return
            life = Life(made["key_id"], made["key"])
            self.lives.append(life)
            self._live(life, chance, token)

    def _live(self, life: Life, chance: Random, token: str) -> None:
        if chance.random() < 0.7:
            rotated = self._until_done("rotate", lambda: self.api.rotate(life.key_id, f"rotate-{token}"))
            if rotated is None:
                self.lives.remove(life)  # nobody knows which secret is its last
                return
            life.text = rotated["key"]
        if chance.random() < 0.5:
            self.api.validate(life.text)  # so that it is in memory
            if self._until_done("revoke", lambda: self.api.revoke(life.key_id)) is not None:
                life.revoked_at = time.monotonic()
            else:
                self.lives.remove(life)

    def _until_done(self, kind: str, call: Callable[[], Reply]) -> dict[str, str] | None:
        """The acknowledgement; None where the storm ended before there was one."""
        while not self._ended.is_set():
            begun_at = time.monotonic()
            try:
                reply = call()
            except (OSError, http.client.HTTPException) as fault:
                raise AssertionError(f"{kind}: the function hung up: {type(fault).__name__}") from fault
            if 200 <= reply.status < 300:
                self._note(kind, begun_at)
                return reply.json
            assert reply.status in (503, 504), f"{kind}: {reply.status} {reply.text}"
            time.sleep(PAUSE_SECONDS)
        return None

    def _note(self, kind: str, begun_at: float) -> None:
        with self._lock:
            self.acknowledged += 1
            if self.outages and begun_at >= self.outages[-1].began_at:
                self.outages[-1].first_done.setdefault(kind, time.monotonic())

    # -- who asks ---------------------------------------------------------------------------------------------------

    def _ask_warm_on(self, _: int) -> None:
        while not self._ended.is_set():
            self._ask_warm(PAUSE_SECONDS)

    def _ask_warm(self, pause_seconds: float) -> None:
        for validator in self.deployment.all_of("validate_key"):
            for key in self._warm:
                reply = self.api.validate(key.text, at=validator.url)
                self.validations += 1
                if reply.status != 200 or reply.code != "VALID":
                    self.refused.append(f"{reply.status} {reply.code}")
                time.sleep(pause_seconds / 2)

    def _ask_revoked_on(self, _: int) -> None:
        """Those revoked last, which somebody may still have in memory."""
        while not self._ended.is_set():
            for life in [each for each in list(self.lives) if each.revoked_at is not None][-5:]:
                begun_at = time.monotonic()
                reply = self.api.validate(life.text)
                self.refusals += 1
                if reply.code == "VALID":
                    self.longest_valid = max(self.longest_valid, begun_at - (life.revoked_at or begun_at))
                time.sleep(PAUSE_SECONDS)
            time.sleep(PAUSE_SECONDS)

    # -- afterwards -------------------------------------------------------------------------------------------------

    def truth(self) -> Truth:
        """Asked of both validators, once nothing is in memory that is older than the last change."""
        time.sleep(FRESH_SECONDS)
        lost, accepted = [], []
        for life in self.lives:
            codes = {self.api.code_of(life.text, at=each.url) for each in self.deployment.all_of("validate_key")}
            if life.revoked_at is not None and "VALID" in codes:
                accepted.append(life.key_id)
            if codes != {"VALID" if life.revoked_at is None else "REVOKED"}:
                lost.append(life.key_id)
        revoked = sum(life.revoked_at is not None for life in self.lives)
        return Truth(self.acknowledged, revoked, lost, accepted)
