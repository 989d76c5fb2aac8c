"""Keys with sinks in a deployment of their own, the ticks that rotate them, and rotators that die on command."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployed import Deployment, Instance
from http_api import Api, Key, Reply
from vault_proxy import Asked, Proxy, killed_at

LEASE_SECONDS = 1  # the shortest there is: tests wait for it
NOBODY = "http://127.0.0.1:9/"  # takes no events, so all of them stay in the outbox
ROTATOR: dict[str, Any] = {"KEYRAIL_ROTATION_LEASE_SECONDS": str(LEASE_SECONDS), "K_SINK": NOBODY}
OTHERS = ("issue_key", "validate_key", "get_key", "update_key", "revoke_key")


@dataclass(frozen=True)
class SunkKey:
    """`text` is its first secret; `sink` the path of its document."""

    key_id: str
    text: str
    sink: str


class Rotations:
    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.api = deployment, deployment.api

    # -- what is asked ----------------------------------------------------------------------------------------------

    def issue(self, **rotation: Any) -> SunkKey:
        """Due by the time this returns."""
        sink = f"acme/app-{secrets.token_hex(6)}"
        given = {"grace_seconds": 3600, "interval_seconds": 86_400, "sink": f"vault:{sink}", **rotation}
        made: Key = self.api.issue(rotation=given)
        time.sleep(1.0 - datetime.now(UTC).microsecond / 1e6 + 0.01)  # a hint is of the second that follows
        return SunkKey(made.key_id, made.text, sink)

    def issue_many(self, count: int, **rotation: Any) -> list[SunkKey]:
        made = []
        for n in range(count):
            sink = f"acme/many-{secrets.token_hex(6)}"
            given = {"grace_seconds": 3600, "interval_seconds": 86_400, "sink": f"vault:{sink}", **rotation}
            key = self.api.issue(name=f"key {n}", rotation=given)
            made.append(SunkKey(key.key_id, key.text, sink))
        time.sleep(1.0)
        return made

    def try_tick(self, at: str | None = None, **fields: Any) -> Reply:
        return self.api.call("rotate", "POST", "/v1/rotation/tick", fields, at=at)

    def tick(self, at: str | None = None, **fields: Any) -> dict[str, Any]:
        return self.try_tick(at, **fields).ok()

    def tick_until_done(self, key: SunkKey, at: str | None = None) -> None:
        """Once whoever had it has lost his lease."""
        ends_at = time.monotonic() + 15
        while self.api.get(key.key_id).ok()["rotation"].get("step") != "promoted" or self.overdue(key):
            assert time.monotonic() < ends_at, self.record(key)
            self.retry_now(key)
            self.try_tick(at)
            time.sleep(0.2)

    def retry_now(self, key: SunkKey) -> None:
        """Nobody waits a minute here: the pause after a failure is over."""
        record = self.record(key)
        if record["rotation"]["retry_at"] is not None:
            record["rotation"]["retry_at"] = "2020-01-01T00:00:00Z"
            self.deployment.overwrite(self.path(key), record)

    def forget_due(self) -> None:
        """Drops every hint, among them the later ones of keys of earlier tests: a minute after a failure, say."""
        kv = self.deployment.root.secrets.kv.v2
        for path in self.deployment.paths("due/"):
            kv.delete_metadata_and_all_versions(path, mount_point=self.deployment.mount)

    # -- what lies in Vault -----------------------------------------------------------------------------------------

    def path(self, key: SunkKey) -> str:
        return f"keys/{key.key_id[:2]}/{key.key_id}"

    def record(self, key: SunkKey) -> dict[str, Any]:
        return self.deployment.document(self.path(key))

    def states(self, key: SunkKey) -> dict[int, str]:
        return {each["n"]: each["state"] for each in self.record(key)["generations"]}

    def in_sink(self, key: SunkKey) -> str:
        """ "" where nothing was delivered yet."""
        found = self.deployment.root.read(f"{self.deployment.delivery_mount}/data/{key.sink}")
        held = "" if found is None or found["data"]["data"] is None else str(found["data"]["data"]["api_key"])
        if held:
            self.deployment.canary.knows_key(held)
        return held

    def overdue(self, key: SunkKey) -> list[str]:
        """Its hints whose time has come."""
        now = datetime.now(UTC)
        return [
            path
            for path in self.deployment.paths("due/")
            if path.endswith(key.key_id) and f"{path.split('/')[1]}{path.split('/')[2][:4]}" <= f"{now:%Y%m%d%H%M%S}"
        ]

    def events(self, key: SunkKey) -> Counter[str]:
        """In the outbox, by name; the same event twice counts twice."""
        return Counter(event["name"] for event in self._outbox() if event["subject"] == key.key_id)

    def told(self, name: str) -> Counter[str]:
        """Such events in the outbox, by key id."""
        return Counter(event["subject"] for event in self._outbox() if event["name"] == name)

    def _outbox(self) -> list[dict[str, Any]]:
        paths = [path for path in self.deployment.paths() if path.startswith("outbox/2")]
        return [self.deployment.document(path) for path in paths]

    # -- what must hold ---------------------------------------------------------------------------------------------

    def assert_sink_alive(self, key: SunkKey) -> None:
        held = self.in_sink(key)
        assert held == "" or self.api.code_of(held) == "VALID", self.states(key)

    def assert_rotated_once(self, key: SunkKey, times: int = 1) -> None:
        """And the sink holds the current one, and the one before is in its grace."""
        states = self.states(key)
        verdict = self.api.validate(self.in_sink(key)).ok()
        assert (verdict["code"], states[verdict["generation"]]) == ("VALID", "current"), states
        assert "pending" not in states.values()
        assert self.api.code_of(key.text) == ("VALID" if times == 1 else "ROTATED_OUT")
        assert self.events(key)["rotation.promoted"] == times


class Rotator:
    """A process of the function `rotate` behind a proxy, which may die in a call."""

    def __init__(self, deployment: Deployment, proxy: Proxy, instance: Instance) -> None:
        self.deployment, self.proxy, self.instance = deployment, proxy, instance
        self.api = Api(deployment.canary, deployment.admin_key, lambda _: instance.url)

    @property
    def url(self) -> str:
        return self.instance.url

    def changes_of(self, call: Callable[[], Reply]) -> list[str]:
        """What a call changes in Vault, in order: the mount's short name, or the folder."""
        paths: list[str] = []
        self.proxy.before = lambda asked: paths.append(self.place(asked)) if is_change(asked) else None
        call().ok()
        self.proxy.before = lambda _: None
        return paths

    def place(self, asked: Asked) -> str:
        _, _, mount, _, folder, *_ = asked.path.split("/")
        place = "sink" if mount == self.deployment.delivery_mount else folder
        return f"-{place}" if asked.method == "DELETE" else place

    def dies(self, change: int, when: str, call: Callable[[], Reply]) -> bool:
        """kill -9, `when` its `change`-th change passes; False where it came to its end before that."""
        return self.dies_at(change, when, call, is_change) is not None

    def dies_at(
        self, number: int, when: str, call: Callable[[], Reply], counts: Callable[[Asked], bool]
    ) -> Asked | None:
        """kill -9, `when` the `number`-th request that counts passes: that one; None where it came to its end."""
        return killed_at(self.proxy, number, when, counts, self.instance.kill, call)

    def lives_again(self) -> None:
        self.instance.restart()


def is_change(asked: Asked) -> bool:
    """Of what a rotation changes: who sends events, and when keys were used, is told apart."""
    is_other = "/outbox/sender/" in asked.path or "/data/usage/" in asked.path
    return (asked.is_write or asked.method == "DELETE") and not is_other


@contextmanager
def delayed(proxy: Proxy, part: str, seconds: float) -> Iterator[None]:
    """Whatever has `part` in its path takes so much longer."""
    proxy.before = lambda asked: time.sleep(seconds) if part in asked.path else None
    try:
        yield
    finally:
        proxy.before = lambda _: None
