"""The pepper in one secret of AWS Secrets Manager, as in Vault: {"current": 1, "versions": {"1": "<64 hex>"}}.

Functions read the current version of the secret. An administrator makes the next one: of two at the same moment one
wins, and the other is told (secrets_manager_secret.py says how).
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from keyrail.adapters.aws_answer import server_time
from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.secrets_manager_secret import SecretFault, VersionedSecret
from keyrail.domain.digest import Peppers
from keyrail.domain.errors import Unavailable
from keyrail.domain.pepper_document import PepperVersions, decode_versions, new_pepper, require_whole

DEADLINE_SECONDS = 2.0  # for each request


class SecretsManagerPepper:
    """1 request. For functions."""

    def __init__(self, name: str, endpoint_url: str | None = None) -> None:
        self._name = name
        self._secret = VersionedSecret(AwsClient("secretsmanager", DEADLINE_SECONDS, endpoint_url), name)

    def read(self) -> Peppers:
        found = _current(self._secret)
        if found is None:
            raise Unavailable(f"the secret {self._name} holds no pepper: run `keyrail bootstrap`")
        versions = _versions(found)
        if versions is None:
            raise Unavailable(f"the pepper in the secret {self._name} is malformed")
        return versions.peppers()


class SecretsManagerPepperPlace:
    """For an administrator. What a write names is the id of the secret's current version."""

    def __init__(self, name: str, endpoint_url: str | None = None) -> None:
        self._secret = VersionedSecret(AwsClient("secretsmanager", DEADLINE_SECONDS, endpoint_url), name)

    def read(self) -> tuple[PepperVersions, str] | None:
        found = _current(self._secret)
        return None if found is None else (require_whole(_versions(found)), str(found["VersionId"]))

    def write(self, versions: PepperVersions, after: str | None) -> bool:
        text, made = json.dumps(versions.document()), secrets.token_hex(16)
        with _faults_told():
            return self._secret.create(text, made) if after is None else self._secret.replace(after, text, made)

    def new_value(self, version: int) -> str:
        return new_pepper(version)

    def forget_history(self) -> None:
        """A pepper that was dropped must not live on as AWSPREVIOUS."""
        with _faults_told():
            self._secret.forget_previous()

    def unchanged_seconds(self, now: datetime) -> float:
        found = _current(self._secret)
        if found is None:
            return 0.0
        created_at: datetime = found["CreatedDate"]
        return ((server_time(found) or now) - created_at).total_seconds()


def _current(secret: VersionedSecret) -> dict[str, Any] | None:
    with _faults_told():
        return secret.current()


@contextmanager
def _faults_told() -> Iterator[None]:
    """Raises: Unavailable."""
    try:
        yield
    except SecretFault as fault:
        raise Unavailable(f"the pepper: {fault}") from fault


def _versions(found: dict[str, Any]) -> PepperVersions | None:
    try:
        return decode_versions(json.loads(found["SecretString"]))
    except (KeyError, ValueError, RecursionError):
        return None
