"""Any order of operations on any number of keys does what the reference model says, on memory and on a real Vault.

After each step every secret ever shown is asked about, at two processes with memories of their own.
"""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from canary import Canary
from deployed import FULL, Deployment
from http_api import a_key_like
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from key_model import ModelKey, ModelSecret, Told
from key_world import SECOND_VALIDATOR, World, memory_stores, vault_stores

from keyrail.domain.errors import KeyrailError

SCOPES = ("ml:infer", "data:read", "data:admin")
ASKED = "ml:infer"
MAX_GRACE_SECONDS = 3600
_numbers = itertools.count()

FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    stateful_step_count=30,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


class KeyLives(RuleBasedStateMachine):
    keys = Bundle("keys")

    def __init__(self, world: World, canary: Canary) -> None:
        super().__init__()
        self.world, self._canary = world, canary
        self.tenants = [f"model-{next(_numbers)}-{name}" for name in ("a", "b")]
        self.model: list[ModelKey] = []
        self.issued: dict[str, tuple[ModelKey, dict[str, Any]]] = {}

    # -- the rules --------------------------------------------------------------------------------------------------

    @rule(
        target=keys,
        tenant=st.integers(0, 1),
        scopes=st.sets(st.sampled_from(SCOPES), max_size=2),
        end=st.sampled_from([{"lifetime_seconds": 1800}, {"expires_at": 1800}, {"expires_at": 10**7}, {}]),
        start=st.sampled_from([None, None, 600]),
    )
    def issue(self, tenant: int, scopes: set[str], end: dict[str, int], start: int | None) -> ModelKey:
        now, idempotency_key = self._step(), f"issue-{next(_numbers)}"
        fields = {
            "tenant": self.tenants[tenant],
            "owner": "ml",
            "name": "a key",
            "scopes": sorted(scopes),
            "rotation": {"grace_seconds": 60, "max_grace_seconds": MAX_GRACE_SECONDS},
            "idempotency_key": idempotency_key,
            **({"not_before": now + timedelta(seconds=start)} if start else {}),
            **({"expires_at": now + timedelta(seconds=end["expires_at"])} if "expires_at" in end else end),
        }
        reply = self.world.call("issue_key", **fields)
        lifetime = None if "expires_at" in end else timedelta(seconds=end.get("lifetime_seconds", 90 * 24 * 3600))
        key = ModelKey(
            key_id=reply.key_id,
            tenant=self.tenants[tenant],
            scopes=scopes,
            secrets=[ModelSecret(self._shown(reply.key))],
            lifetime=lifetime,
            expires_at=now + (lifetime or timedelta(seconds=end.get("expires_at", 0))),
            not_before=now + timedelta(seconds=start) if start else None,
        )
        self.model.append(key)
        self.issued[key.key_id] = key, fields
        return key

    @rule(key=keys)
    def repeat_an_issue(self, key: ModelKey) -> None:
        self._step()
        reply = self.world.call("issue_key", **self.issued[key.key_id][1])
        assert (reply.key_id, reply.replayed, reply.key) == (key.key_id, True, None)

    @rule(
        key=keys,
        grace_seconds=st.sampled_from([0, 60, MAX_GRACE_SECONDS]),
        wait_seconds=st.sampled_from([0, 30, 70, 4000]),
        then=st.sampled_from(["nothing", "the same again", "another"]),
    )
    def rotate(self, key: ModelKey, grace_seconds: int, wait_seconds: int, then: str) -> None:
        self._rotate(key, f"rotation-{next(_numbers)}", grace_seconds)
        self.world.passes(timedelta(seconds=wait_seconds))
        if then == "the same again" and key.rotation is not None:
            self._rotate(key, *key.rotation)
        elif then == "another":
            self._rotate(key, f"rotation-{next(_numbers)}", 60)

    @rule(key=keys, times=st.integers(3, 5))
    def rotate_and_wait_for_the_end_of_grace(self, key: ModelKey, times: int) -> None:
        for _ in range(times):
            self._rotate(key, f"rotation-{next(_numbers)}", 60)
            self.world.passes(timedelta(seconds=61))

    @precondition(lambda self: sum(not key.is_revoked for key in self.model) > 2)
    @rule(key=keys)
    def revoke(self, key: ModelKey) -> None:
        self._step()
        self.world.call("revoke_key", key_id=key.key_id)
        key.is_revoked = True

    @rule(key=keys, state=st.sampled_from(["disabled", "active"]))
    def disable_or_enable(self, key: ModelKey, state: str) -> None:
        self._step()
        if self._updated(key, state=state):
            key.is_disabled = state == "disabled"

    @rule(key=keys, scopes=st.sets(st.sampled_from(SCOPES), max_size=2))
    def change_scopes(self, key: ModelKey, scopes: set[str]) -> None:
        self._step()
        if self._updated(key, scopes=sorted(scopes)):
            key.scopes = scopes

    @rule(key=keys, seconds=st.sampled_from([-10, 5, 5000, 10**7]))
    def move_the_end(self, key: ModelKey, seconds: int) -> None:
        expires_at = self._step() + timedelta(seconds=seconds)
        if key.not_before is not None and expires_at <= key.not_before:
            return
        if self._updated(key, expires_at=expires_at):
            key.expires_at, key.lifetime = expires_at, None

    @rule(seconds=st.sampled_from([10, 70, 700, 4000, 100_000]))
    def time_passes(self, seconds: int) -> None:
        self.world.passes(timedelta(seconds=seconds))

    @rule(key=keys)
    def look_at(self, key: ModelKey) -> None:
        now = self._step()
        view = self.world.call("get_key", key_id=key.key_id)
        assert (view.state, view.expires_at, set(view.scopes)) == (key.state(now), key.expires_at, key.scopes)
        states = [generation.state for generation in view.generations]
        expected = ["current" if s.ends_at is None else "retired" if s.is_out(now) else "retiring" for s in key.secrets]
        assert states == expected

    @rule(tenant=st.integers(0, 1))
    def list_all(self, tenant: int) -> None:
        self._step()
        listed = self.world.call("list_keys", tenant=self.tenants[tenant], limit=200)
        assert {view.key_id for view in listed.keys} == {
            k.key_id for k in self.model if k.tenant == self.tenants[tenant]
        }

    @rule(key=keys)
    def guess(self, key: ModelKey) -> None:
        self._step()
        verdict = self.world.call("validate_key", key=a_key_like(key.key_id))
        assert (verdict.valid, verdict.code, verdict.key_id) == (False, "NOT_FOUND", None)

    @invariant()
    def every_secret_is_answered_as_the_model_says(self) -> None:
        now = self._step()
        expected = {text: told for key in self.model for text, told in key.verdicts(ASKED, now).items()}
        for validator in ("validate_key", SECOND_VALIDATOR):
            assert self._told(validator, list(expected)) == expected

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _step(self) -> Any:
        return self.world.passes(timedelta())

    def _told(self, validator: str, texts: list[str]) -> dict[str, Told]:
        told: dict[str, Told] = {}
        for start in range(0, len(texts), 100):
            batch = texts[start : start + 100]
            results = self.world.call(
                validator, batch=[{"key": text, "required_scopes": ASKED} for text in batch]
            ).results
            verdicts = [(str(each.code), each.expires_at, each.sunset_at if each.valid else None) for each in results]
            told |= dict(zip(batch, verdicts, strict=True))
        return told

    def _rotate(self, key: ModelKey, idempotency_key: str, grace_seconds: int) -> None:
        now = self._step()
        refusal = key.refuses_rotation(idempotency_key, grace_seconds, now)
        fields = {"key_id": key.key_id, "grace_seconds": grace_seconds, "idempotency_key": idempotency_key}
        if refusal is not None:
            assert self._problem("rotate", **fields) == refusal
            return
        text = self._shown(self.world.call("rotate", **fields).key)
        key.rotated(text, idempotency_key, grace_seconds, now)

    def _updated(self, key: ModelKey, **fields: Any) -> bool:
        if key.is_revoked:
            assert self._problem("update_key", key_id=key.key_id, **fields) == "KEY_NOT_LIVE"
            return False
        self.world.call("update_key", key_id=key.key_id, **fields)
        return True

    def _problem(self, name: str, /, **fields: Any) -> str:
        with pytest.raises(KeyrailError) as caught:
            self.world.call(name, **fields)
        return str(caught.value.code)

    def _shown(self, key: str | None) -> str:
        assert key is not None
        self._canary.knows_key(key)
        return key


def _run(world: Callable[[], World], canary: Canary, examples: int) -> None:
    machine: Any = lambda: KeyLives(world(), canary)  # noqa: E731  typed as a class by hypothesis, documented as any factory
    run_state_machine_as_test(machine, settings=settings(FIXED, max_examples=examples))


def test_on_memory(canary: Canary) -> None:
    _run(lambda: World.over(memory_stores()), canary, 1000 if FULL else 100)


def test_on_a_real_vault(deployment: Deployment, canary: Canary) -> None:
    stores = vault_stores(deployment)
    _run(lambda: World.over(stores), canary, 100 if FULL else 10)
