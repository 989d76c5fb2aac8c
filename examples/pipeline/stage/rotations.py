"""Rotates what the pipeline stands on, and then tries what was replaced."""

import http.client
import time
from collections import Counter
from dataclasses import dataclass, field

from keyrail_client import SECONDS
from stage.api import GRACE_SECONDS
from stage.pipeline import Pipeline

PAUSE_SECONDS = GRACE_SECONDS + 0.5  # a key that has a generation in its grace is not rotated again
SEEN_SECONDS = 1.5  # until every instance refuses it


@dataclass
class Rotations:
    """`old_keys` and `old_passwords` were replaced, by `counts` in all."""

    pipeline: Pipeline
    counts: Counter[str] = field(default_factory=Counter)
    old_keys: list[str] = field(default_factory=list, repr=False)
    old_passwords: list[str] = field(default_factory=list, repr=False)

    def rotate_all(self, rounds: int) -> None:
        """Returns when the last grace is over."""
        for _ in range(rounds):
            for name in ("client", "inference"):
                self.old_keys.append((self.pipeline.folder / name / "api-key").read_text())
                self.pipeline.administrator.rotate_key(self.pipeline.keys[name])
                self.counts[name] += 1
            self.old_passwords.append(self.pipeline.administrator.database_login()[1])
            self.pipeline.administrator.rotate_database()
            self.counts["database"] += 1
            time.sleep(PAUSE_SECONDS)
        time.sleep(SEEN_SECONDS)

    def still_accepted(self) -> int:
        """Of what was replaced: 0."""
        user = self.pipeline.administrator.database_login()[0]
        keys = sum(status_of(self.pipeline, "/data/1", key) != 401 for key in self.old_keys)
        return keys + sum(self.pipeline.postgres.answer(user, old) is not None for old in self.old_passwords)


def status_of(pipeline: Pipeline, path: str, key: str) -> int:
    """What the gateway answers to a GET with `key`."""
    connection = http.client.HTTPConnection("127.0.0.1", pipeline.ports["gateway"], timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        return connection.getresponse().status
    finally:
        connection.close()
