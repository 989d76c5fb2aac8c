"""Secrets Manager as it rotates a secret: moto keeps the versions, and whoever calls this drives the four steps.

moto's own rotate_secret would call a Lambda in Docker. It makes the version AWSPENDING before that, without a value, as
AWS does.
"""

import contextlib
import json
import uuid
from collections.abc import Callable
from typing import Any

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_ROTATOR = "arn:aws:lambda:eu-central-1:123456789012:function:rotate"
Invoke = Callable[[dict[str, Any]], Any]


class RotatedSecret:
    """A secret with rotation turned on. `invoke` calls the function, and raises where that fails."""

    def __init__(self, aws: Any, name: str, text: str | None) -> None:
        self.aws, self.name = aws, name
        given = {} if text is None else {"SecretString": text}
        self.arn: str = aws.create_secret(Name=name, **given)["ARN"]

    def begin(self) -> str:
        """RotateSecret: the token of the version that is AWSPENDING from now on."""
        token, rules = str(uuid.uuid4()), {"AutomaticallyAfterDays": 30}
        self._forget_what_is_done()
        with contextlib.suppress(self.aws.exceptions.ResourceNotFoundException):  # there is no such Lambda
            self.aws.rotate_secret(
                SecretId=self.arn, ClientRequestToken=token, RotationLambdaARN=_ROTATOR, RotationRules=rules
            )
        return token

    def event(self, step: str, token: str, **more: Any) -> dict[str, Any]:
        return {"Step": step, "SecretId": self.arn, "ClientRequestToken": token, **more}

    def rotate(self, invoke: Invoke, token: str | None = None) -> str:
        """All steps in their order."""
        token = token or self.begin()
        for step in STEPS:
            invoke(self.event(step, token))
        return token

    def retry(self, invoke: Invoke, token: str, tries: int = 5) -> None:
        """As after a failure: from the first step on, until they all pass."""
        for _ in range(tries - 1):
            with contextlib.suppress(Exception):
                self.rotate(invoke, token)
                return
        self.rotate(invoke, token)

    def document(self, label: str = "AWSCURRENT") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.aws.get_secret_value(SecretId=self.arn, VersionStage=label)["SecretString"]
        )
        return found

    @property
    def labels(self) -> dict[str, set[str]]:
        """Of each version that has any."""
        found = self.aws.describe_secret(SecretId=self.arn)["VersionIdsToStages"]
        return {version: set(labels) for version, labels in found.items() if labels}

    def _forget_what_is_done(self) -> None:
        """AWS takes AWSPENDING away as AWSCURRENT is moved; moto leaves it."""
        for version, labels in self.labels.items():
            if {"AWSPENDING", "AWSCURRENT"} <= labels:
                self.aws.update_secret_version_stage(
                    SecretId=self.arn, VersionStage="AWSPENDING", RemoveFromVersionId=version
                )
