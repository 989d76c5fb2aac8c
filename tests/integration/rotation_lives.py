"""The life of keys (test_key_life_model.py), and beside it ticks, sinks and configs, told once more, simply:

- A tick gives each live key that is due and in no grace its next secret; what was there before has its grace.
- What a sink holds is the key's current secret, from its first tick on.
- A config is the list of its values; a tick makes a new one of those that are due.
"""

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from canary import Canary
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, precondition, rule
from key_model import ModelKey, ModelSecret
from key_world import World
from test_key_life_model import KeyLives

from keyrail.domain.sinks import parse_sink

MAX_GRACE_SECONDS = 3600
MOST_EARLY = 0.1  # of an interval: keys made together don't rotate together
CACHE_TTL_SECONDS = 10
_numbers = itertools.count()


@dataclass
class Sunk:
    """What a model key's sink holds, and when a tick is due."""

    key: ModelKey
    path: str
    grace_seconds: int
    interval_seconds: int | None
    next_at: datetime | None
    held: str | None = None

    def is_due(self, now: datetime) -> bool:
        is_live = not self.key.is_revoked and not self.key.is_disabled and not self.key.is_expired(now)
        return is_live and self.next_at is not None and self.next_at <= now and not self.key._retiring(now)


@dataclass
class Config:
    tenant: str
    name: str
    values: list[Any] = field(default_factory=list)
    interval_seconds: int | None = None
    next_at: datetime | None = None


class RotationLives(KeyLives):
    configs = Bundle("configs")

    def __init__(self, world: World, canary: Canary) -> None:
        super().__init__(world, canary)
        self.sunk: dict[str, Sunk] = {}
        self.configs_made: list[Config] = []

    # -- keys with a sink -------------------------------------------------------------------------------------------

    @rule(
        target=KeyLives.keys,
        tenant=st.integers(0, 1),
        pace=st.sampled_from([(60, None), (60, 600), (MAX_GRACE_SECONDS, None), (MAX_GRACE_SECONDS, 86_400)]),
        lifetime_seconds=st.sampled_from([1800, 10**7]),
    )
    def issue_into_a_sink(self, tenant: int, pace: tuple[int, int | None], lifetime_seconds: int) -> ModelKey:
        now, number, (grace_seconds, interval_seconds) = self._step(), next(_numbers), pace
        path = f"{self.tenants[tenant]}/app-{number}"
        paced = {"interval_seconds": interval_seconds} if interval_seconds else {}
        fields = {
            "tenant": self.tenants[tenant],
            "owner": "ml",
            "name": "a key with a sink",
            "scopes": ["ml:infer"],
            "lifetime_seconds": lifetime_seconds,
            "rotation": {
                "grace_seconds": grace_seconds,
                "max_grace_seconds": MAX_GRACE_SECONDS,
                "sink": f"vault:{path}",
                **paced,
            },
            "idempotency_key": f"sunk-{number}",
        }
        reply = self.world.call("issue_key", **fields)
        lifetime = timedelta(seconds=lifetime_seconds)
        first = ModelSecret(self._shown(reply.key))
        key = ModelKey(reply.key_id, self.tenants[tenant], {"ml:infer"}, [first], lifetime, now + lifetime)
        self.model.append(key)
        self.issued[key.key_id] = key, fields
        self.sunk[key.key_id] = Sunk(key, path, grace_seconds, interval_seconds, next_at=now)
        return key

    @rule(times=st.integers(1, 3), wait_seconds=st.sampled_from([0, 40, 700, 90_000]))
    def tick(self, times: int, wait_seconds: int) -> None:
        """Fired more than once it does nothing more."""
        now = self.world.passes(timedelta(seconds=wait_seconds))
        due, configs = self._due(now), [each for each in self.configs_made if each.next_at and each.next_at <= now]
        for fired in range(times):
            report = self.world.call("rotate_due")
            assert report.failed == report.resumed == report.remaining == 0, report
            assert report.rotated == (0 if fired else len(due) + len(configs)), report
        for key in self.model:
            if key.state(now) in ("active", "not_yet_valid"):
                key._forget(now)
        for sunk in due:
            self._rotated_into_sink(sunk, None, sunk.grace_seconds, now)
        for config in configs:
            self._rotated_by_tick(config, now)
        self.world.passes(
            timedelta(seconds=CACHE_TTL_SECONDS)
        )  # till then ROTATED_OUT is remembered of what is forgotten

    def _due(self, now: datetime) -> list[Sunk]:
        return [sunk for sunk in self.sunk.values() if sunk.is_due(now)]

    def _rotated_into_sink(self, sunk: Sunk, identity: str | None, grace_seconds: int, now: datetime) -> None:
        before, sunk.held = sunk.held, self._in_sink(sunk)
        assert sunk.held is not None
        assert sunk.held != before
        sunk.key.rotated(self._shown(sunk.held), identity or "", grace_seconds, now)
        if identity is None:
            sunk.key.rotation = None  # a tick's: nobody can repeat it
        sunk.next_at = self.world.call("get_key", key_id=sunk.key.key_id).rotation.next_at
        _assert_paced(sunk.next_at, sunk.interval_seconds, now)

    def _rotate(self, key: ModelKey, idempotency_key: str, grace_seconds: int) -> None:
        """By hand: into its sink where it has one, and then a repeat finds it done."""
        if key.key_id not in self.sunk:
            return super()._rotate(key, idempotency_key, grace_seconds)
        now, sunk = self._step(), self.sunk[key.key_id]
        fields = {"key_id": key.key_id, "grace_seconds": grace_seconds, "idempotency_key": idempotency_key}
        refusal = self._refusal(key, idempotency_key, grace_seconds, now)
        if refusal is not None:
            assert self._problem("rotate", **fields) == refusal
            return None
        is_done = self._is_done(key, idempotency_key) and not (grace_seconds == 0 and key._retiring(now))
        assert self.world.call("rotate", **fields).key is None
        if not is_done:
            self._rotated_into_sink(sunk, idempotency_key, grace_seconds, now)
        return None

    def _refusal(self, key: ModelKey, idempotency_key: str, grace_seconds: int, now: datetime) -> str | None:
        if key.is_revoked or key.is_expired(now):
            return "KEY_NOT_LIVE"
        if grace_seconds == 0 or self._is_done(key, idempotency_key):
            return None
        return "ROTATION_IN_PROGRESS" if key._retiring(now) else None

    @staticmethod
    def _is_done(key: ModelKey, idempotency_key: str) -> bool:
        return key.rotation is not None and key.rotation[0] == idempotency_key

    def _in_sink(self, sunk: Sunk) -> str | None:
        held = self.world.services["rotate"].delivery.read(parse_sink(f"vault:{sunk.path}", sunk.key.tenant))
        return None if held is None else held.key

    @precondition(lambda self: self.sunk)
    @rule(data=st.data())
    def give_it_another_sink(self, data: st.DataObject) -> None:
        """It is due at once, and the sink before keeps what it held."""
        sunk = self.sunk[data.draw(st.sampled_from(sorted(self.sunk)))]
        now, path = self._step(), f"{sunk.key.tenant}/app-{next(_numbers)}"
        rotation = {
            "grace_seconds": sunk.grace_seconds,
            "max_grace_seconds": MAX_GRACE_SECONDS,
            "interval_seconds": sunk.interval_seconds,
            "sink": f"vault:{path}",
        }
        if self._updated(sunk.key, rotation={name: value for name, value in rotation.items() if value is not None}):
            sunk.path, sunk.held, sunk.next_at = path, None, now

    # -- configs ----------------------------------------------------------------------------------------------------

    @rule(target=configs, tenant=st.integers(0, 1), interval_seconds=st.sampled_from([None, 600, 86_400]))
    def write(self, tenant: int, interval_seconds: int | None) -> Config:
        config = Config(self.tenants[tenant], f"services/db-{next(_numbers)}", interval_seconds=interval_seconds)
        rotation = {"kind": "generated", "field": "password", "interval_seconds": interval_seconds}
        self._put(config, **({"rotation": rotation} if interval_seconds else {}))
        self.configs_made.append(config)
        return config

    @rule(config=configs)
    def overwrite(self, config: Config) -> None:
        self._put(config, if_match=f'"{len(config.values)}"')

    @rule(config=configs, back=st.integers(0, 5))
    def restore(self, config: Config, back: int) -> None:
        now, version = self._step(), max(1, len(config.values) - back)
        self._write(config, now, if_match=f'"{len(config.values)}"', restore_version=version)
        config.values.append(config.values[version - 1])

    @rule(config=configs, name_it=st.sampled_from(["nothing", "the one before"]))
    def overwrite_what_was_changed_since(self, config: Config, name_it: str) -> None:
        self._step()
        given = {"if_match": f'"{len(config.values) - 1}"'} if name_it == "the one before" else {}
        told = self._problem("write_config", tenant=config.tenant, name=config.name, value={"password": "x"}, **given)
        assert told == ("ETAG_MISMATCH" if given else "CONFIG_EXISTS")

    def _put(self, config: Config, **fields: Any) -> None:
        now, value = self._step(), {"password": f"set by hand {next(_numbers)}", "user": "app"}
        self._write(config, now, value=value, **fields)
        config.values.append(value)

    def _write(self, config: Config, now: datetime, **fields: Any) -> None:
        reply = self.world.call("write_config", tenant=config.tenant, name=config.name, **fields)
        assert reply.version == len(config.values) + 1
        config.next_at = None if reply.rotation is None else reply.rotation.next_at

    def _rotated_by_tick(self, config: Config, now: datetime) -> None:
        read = self.world.call("read_config", tenant=config.tenant, name=config.name)
        assert read.value.root["user"] == config.values[-1]["user"]
        assert read.value.root["password"] not in [value["password"] for value in config.values]
        config.values.append(read.value.root)
        config.next_at = read.rotation.next_at
        _assert_paced(config.next_at, config.interval_seconds, now)

    def teardown(self) -> None:
        """The next life may share the store, and ticks are of everybody."""
        for sunk in self.sunk.values():
            if not sunk.key.is_revoked:
                self.world.call("revoke_key", key_id=sunk.key.key_id)
        for config in self.configs_made:
            self.world.call("write_config", tenant=config.tenant, name=config.name, destroy_versions="all")

    # -- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def sinks_hold_what_the_model_says(self) -> None:
        for sunk in self.sunk.values():
            assert self._in_sink(sunk) == sunk.held
            assert sunk.held in (None, sunk.key.secrets[-1].text)

    @invariant()
    def configs_are_read_as_they_were_written(self) -> None:
        for config in self.configs_made:
            read = self.world.call("read_config", tenant=config.tenant, name=config.name)
            assert (read.version, read.value.root) == (len(config.values), config.values[-1])


def _assert_paced(next_at: datetime | None, interval_seconds: int | None, now: datetime) -> None:
    if interval_seconds is None or next_at is None:
        assert next_at is None
        assert interval_seconds is None
        return
    assert interval_seconds * (1 - MOST_EARLY) - 1 <= (next_at - now).total_seconds() <= interval_seconds
