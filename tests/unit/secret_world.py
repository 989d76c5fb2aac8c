"""The world of interleaving.py, with a key whose sink is a secret that AWS Secrets Manager rotates."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from builders import KEY_ID, key_text, record
from interleaving import GRACE_SECONDS, World
from runners import Gate, Gated

from keyrail.domain.access import Caller
from keyrail.domain.decisions import Code
from keyrail.domain.errors import KeyrailError
from keyrail.domain.records import SYSTEM_TENANT, Rotation
from keyrail.ports import Services
from keyrail.secret_rotation import SecretStepReply, run_step
from keyrail.secret_step import SecretStep, Step
from secret_in_memory import AsSink, SecretInMemory

SINK = "secretsmanager:acme/gateway"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/acme/gateway-AbCdEf"
STEPS: tuple[Step, ...] = ("createSecret", "setSecret", "testSecret", "finishSecret")
SECRETS_MANAGER = Caller("iam:secretsmanager", SYSTEM_TENANT, "iam:secretsmanager", ("keys:rotate",))
MOST_TRIES = 6


@dataclass
class SecretWorld(World):
    secret: SecretInMemory = field(default_factory=lambda: SecretInMemory(SINK))

    @classmethod
    def made(cls, **rotation: Any) -> "SecretWorld":
        """Its secret holds the first generation."""
        world = cls()
        settings: dict[str, Any] = {"grace_seconds": GRACE_SECONDS, "max_grace_seconds": GRACE_SECONDS, "sink": SINK}
        assert world.keys.create(record(rotation=Rotation(**settings | rotation)))
        world.secret.fill(key_text(1), KEY_ID)
        return world

    def services(self, gate: Gate | None = None) -> Services:
        versions: Any = self.secret if gate is None else Gated("versions", self.secret, gate)
        delivery: Any = AsSink(self.secret) if gate is None else Gated("delivery", AsSink(self.secret), gate)
        return replace(super().services(gate), secret_versions=versions, delivery=delivery)

    def in_sink(self, sink: str = SINK) -> str:
        return self.secret.key

    # -- what Secrets Manager does ----------------------------------------------------------------------------------

    def step(self, step: Step, token: str, services: Services | None = None) -> SecretStepReply:
        return run_step(SecretStep(step=step, secret_id=ARN, token=token), SECRETS_MANAGER, services or self.services())

    def all_steps(self, token: str | None = None, services: Services | None = None) -> str:
        token = token or self.secret.begin()
        for step in STEPS:
            self.step(step, token, services)
        return token

    def tries(self, token: str) -> Iterator[KeyrailError | None]:
        """From the first step on, with what each try failed of; the last one succeeds."""
        for _ in range(MOST_TRIES):
            try:
                self.all_steps(token)
            except KeyrailError as error:
                yield error
            else:
                yield None
                return

    # -- what must hold ---------------------------------------------------------------------------------------------

    def assert_alive(self) -> None:
        """Its consumer is never refused."""
        assert self.code_of(self.secret.key) is Code.VALID, (self.states(), self.secret.labels)

    def assert_ended(self, promotions: int = 1) -> None:
        """The secret holds the current generation, AWS may begin another rotation, and every promotion is told."""
        decision = self.decision(self.secret.key)
        assert decision.generation is not None
        assert (decision.code, decision.generation.state) == (Code.VALID, "current")
        assert "pending" not in self.states().values()
        assert self.secret.pending in (None, self.secret.current)
        assert len(self.keys.promotions) == promotions
        told = [event["generation"] for event in self.events("rotation.promoted")]
        assert told == [n for _, n in self.keys.promotions]
