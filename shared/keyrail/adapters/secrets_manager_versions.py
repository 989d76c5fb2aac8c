"""The versions of a secret that AWS Secrets Manager itself rotates, for the four steps of keyrail/secret_rotation.py.

A version's id is the ClientRequestToken of the rotation that makes it. AWS changes no version that has a value, and
moves AWSCURRENT only away from the version that is named with the request.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
"""

from keyrail.adapters.aws_answer import ask, ask_until_answered
from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.secrets_manager_text import DEADLINE_SECONDS, read_text, text_of
from keyrail.domain.errors import DeliveryFailed
from keyrail.rotation_ports import CURRENT, PENDING, RotatingSecret, SecretVersion


class SecretsManagerVersions:
    """One request each; `make_current` another one where it is refused. A read is tried again for a moment."""

    def __init__(self, prefix: str, endpoint_url: str | None = None) -> None:
        self._prefix = prefix
        self._client = AwsClient("secretsmanager", DEADLINE_SECONDS, endpoint_url)

    def describe(self, secret_id: str) -> RotatingSecret:
        reply, refused = ask_until_answered(self._client, "describe_secret", SecretId=secret_id)
        if refused is not None:
            raise _failed("described", refused)
        name, versions = str(reply["Name"]), reply.get("VersionIdsToStages") or {}
        return RotatingSecret(
            sink=f"secretsmanager:{name.removeprefix(self._prefix)}" if name.startswith(self._prefix) else None,
            is_rotated=reply.get("RotationEnabled") is True,
            labels={str(version): frozenset(labels) for version, labels in versions.items()},
        )

    def read(self, secret_id: str, version_id: str) -> SecretVersion | None:
        reply, refused = ask_until_answered(self._client, "get_secret_value", SecretId=secret_id, VersionId=version_id)
        if refused == "ResourceNotFoundException":
            return None
        if refused is not None:
            raise _failed("read", refused)
        return read_text(reply.get("SecretString"))

    def put(
        self, secret_id: str, version_id: str, key: str, key_id: str, generation: int, rotation_token: str | None
    ) -> bool:
        text = text_of(key, key_id, generation)
        given = {"SecretString": text, "ClientRequestToken": version_id, "VersionStages": [PENDING]}
        proof = {} if rotation_token is None else {"RotationToken": rotation_token}
        _, refused = ask(self._client, "put_secret_value", SecretId=secret_id, **given, **proof)
        if refused not in (None, "ResourceExistsException"):
            raise _failed("written", refused)
        return refused is None

    def make_current(self, secret_id: str, version_id: str, instead_of: str) -> bool:
        moved = self._moved(secret_id, CURRENT, RemoveFromVersionId=instead_of, MoveToVersionId=version_id)
        return moved or self.describe(secret_id).current == version_id

    def give_up(self, secret_id: str, version_id: str) -> None:
        self._moved(secret_id, PENDING, RemoveFromVersionId=version_id)

    def _moved(self, secret_id: str, label: str, **versions: str) -> bool:
        """False where the label is not where it is to be taken from."""
        given = {"SecretId": secret_id, "VersionStage": label}
        _, refused = ask(self._client, "update_secret_version_stage", **given, **versions)
        if refused not in (None, "InvalidParameterException"):
            raise _failed("written", refused)
        return refused is None


def _failed(what: str, why: str | None) -> DeliveryFailed:
    return DeliveryFailed(f"the secret could not be {what}: {why}")
