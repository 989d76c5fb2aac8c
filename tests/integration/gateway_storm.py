"""Clients show keys to a gateway while these are issued, rotated and revoked without pause: a live one must be let
through under its own name, one that has ended must be refused."""

import http.client
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from gateway_world import Gateway
from http_api import Api

CLIENTS, CHANGERS, LASTING_KEYS = 3, 2, 10
PAUSE_SECONDS = 0.1  # between two changes of one changer
GRACES_SECONDS = (0, 2, 600)
NEVER = float("inf")


@dataclass
class Shown:
    """A secret that clients show; both times on the monotonic clock. From `may_end_at` on it may be refused; `ended_at`
    is when its end was acknowledged, or its grace over: what is asked long enough after that must be refused."""

    key_id: str
    text: str
    may_end_at: float = NEVER
    ended_at: float = NEVER


@dataclass
class Tally:
    """`longest_past_end`: how long after its end a secret was still let through, in seconds. What else was wrong is
    counted in `wrong`: any refusal of a live one, and any answer but 200 and 401."""

    live: int = 0
    ended: int = 0
    longest_past_end: float = 0.0
    changes: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


class GatewayStorm:
    def __init__(self, api: Api, gateway: Gateway, seed: int) -> None:
        self._api, self._gateway, self._seed = api, gateway, seed
        self._live: list[Shown] = []
        self._ended: deque[Shown] = deque(maxlen=60)
        self._over, self._lock = threading.Event(), threading.Lock()
        self._faults: list[BaseException] = []
        self.tally = Tally()

    def rage(self, seconds: int, told: Callable[[int], None] = lambda _: None) -> Tally:
        """`told` hears of each second. Raises: whatever made a change fail."""
        for _ in range(LASTING_KEYS):
            self._issued()
        works = [self._change] * CHANGERS + [self._ask_on] * CLIENTS
        threads = [threading.Thread(target=self._guarded, args=work) for work in enumerate(works)]
        for thread in threads:
            thread.start()
        for second in range(seconds):
            self._over.wait(1)
            told(second + 1)
        self._over.set()
        for thread in threads:
            thread.join()
        if self._faults:
            raise self._faults[0]
        return self.tally

    def _guarded(self, number: int, work: Callable[[Random], None]) -> None:
        try:
            work(Random(f"{self._seed}-{number}"))
        except BaseException as fault:  # noqa: BLE001 - told to whoever waits for this thread
            self._faults.append(fault)
            self._over.set()

    # -- who changes ------------------------------------------------------------------------------------------------

    def _change(self, chance: Random) -> None:
        """A key's whole life, again and again."""
        while not self._over.wait(PAUSE_SECONDS):
            secrets = [self._issued()]
            self._over.wait(chance.random() / 2)
            if chance.random() < 0.7:
                secrets.append(self._rotated(secrets[0], chance.choice(GRACES_SECONDS)))
                self._over.wait(chance.random() / 2)
            self._revoke(secrets)

    def _issued(self) -> Shown:
        made = self._api.issue(owner="ml-team")
        return self._is_shown(Shown(made.key_id, made.text), "issued")

    def _rotated(self, old: Shown, grace_seconds: int) -> Shown:
        old.may_end_at = time.monotonic() + grace_seconds
        made = self._api.rotate(old.key_id, grace_seconds=grace_seconds).ok()
        self._has_ended(old, time.monotonic() + grace_seconds)
        return self._is_shown(Shown(old.key_id, made["key"]), "rotated")

    def _revoke(self, secrets: list[Shown]) -> None:
        for secret in secrets:
            secret.may_end_at = min(secret.may_end_at, time.monotonic())
        self._api.revoke(secrets[0].key_id).ok()
        for secret in secrets:
            self._has_ended(secret, min(secret.ended_at, time.monotonic()))
        with self._lock:
            self.tally.changes["revoked"] += 1

    def _is_shown(self, secret: Shown, change: str) -> Shown:
        with self._lock:
            self._live.append(secret)
            self.tally.changes[change] += 1
        return secret

    def _has_ended(self, secret: Shown, at: float) -> None:
        """Or will, `at` the end of its grace."""
        secret.ended_at = at
        with self._lock:
            if secret in self._live and at <= time.monotonic():
                self._live.remove(secret)
                self._ended.append(secret)

    # -- who asks ---------------------------------------------------------------------------------------------------

    def _ask_on(self, chance: Random) -> None:
        while not self._over.is_set():
            with self._lock:
                pool = self._ended if self._ended and chance.random() < 0.4 else self._live
                secret = chance.choice(pool)
            begun_at = time.monotonic()
            answer = self._answer(secret)
            with self._lock:
                self._judge(secret, answer, begun_at)

    def _answer(self, secret: Shown) -> str:
        """200, but only under the key's own name."""
        try:
            answer = self._gateway.get("/infer", ("X-API-Key", secret.text))
        except (OSError, http.client.HTTPException) as fault:
            return type(fault).__name__
        if answer.status == 200 and dict(answer.passed_on).get("x-keyrail-key-id") != secret.key_id:
            return "200 for another key"
        return str(answer.status)

    def _judge(self, secret: Shown, answer: str, begun_at: float) -> None:
        past_end = begun_at - secret.ended_at
        if past_end >= 0:
            self.tally.ended += 1
        else:
            self.tally.live += 1
        if answer == "200":
            self.tally.longest_past_end = max(self.tally.longest_past_end, past_end)
        elif answer != "401" or secret.may_end_at > time.monotonic():
            self.tally.wrong[f"{answer} for one that {'had ended' if past_end >= 0 else 'was live'}"] += 1
