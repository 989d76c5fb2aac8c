"""The versions of a secret that AWS Secrets Manager itself rotates, for the four steps of keyrail/secret_rotation.py.

A version's id is the ClientRequestToken of the rotation that makes it. AWS changes no version that has a value, and
moves AWSCURRENT only away from the version that is named with the request.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
"""

from keyrail.adapters.secrets_manager import SecretsManager, failed, read_text, text_of
from keyrail.rotation_ports import CURRENT, PENDING, RotatingSecret, SecretVersion


class SecretsManagerVersions:
    """One request each; `make_current` another one where it is refused."""

    def __init__(self, prefix: str, endpoint_url: str | None = None) -> None:
        self._prefix = prefix
        self._client = SecretsManager(endpoint_url)

    def describe(self, secret_id: str) -> RotatingSecret:
        reply, refused = self._client.asked("describe_secret", SecretId=secret_id)
        if refused is not None:
            raise failed("described", refused)
        name, versions = str(reply["Name"]), reply.get("VersionIdsToStages") or {}
        return RotatingSecret(
            sink=f"secretsmanager:{name.removeprefix(self._prefix)}" if name.startswith(self._prefix) else None,
            is_rotated=reply.get("RotationEnabled") is True,
            labels={str(version): frozenset(labels) for version, labels in versions.items()},
        )

    def read(self, secret_id: str, version_id: str) -> SecretVersion | None:
        reply, refused = self._client.asked("get_secret_value", SecretId=secret_id, VersionId=version_id)
        if refused == "ResourceNotFoundException":
            return None
        if refused is not None:
            raise failed("read", refused)
        return read_text(reply.get("SecretString"))

    def put(
        self, secret_id: str, version_id: str, key: str, key_id: str, generation: int, rotation_token: str | None
    ) -> bool:
        text = text_of(key, key_id, generation)
        given = {"SecretString": text, "ClientRequestToken": version_id, "VersionStages": [PENDING]}
        proof = {} if rotation_token is None else {"RotationToken": rotation_token}
        _, refused = self._client.asked("put_secret_value", SecretId=secret_id, **given, **proof)
        if refused not in (None, "ResourceExistsException"):
            raise failed("written", refused)
        return refused is None

    def make_current(self, secret_id: str, version_id: str, instead_of: str) -> bool:
        versions = {"RemoveFromVersionId": instead_of, "MoveToVersionId": version_id}
        _, refused = self._client.asked(
            "update_secret_version_stage", SecretId=secret_id, VersionStage=CURRENT, **versions
        )
        if refused not in (None, "InvalidParameterException"):
            raise failed("written", refused)
        return refused is None or self.describe(secret_id).current == version_id

    def give_up(self, secret_id: str, version_id: str) -> None:
        label = {"VersionStage": PENDING, "RemoveFromVersionId": version_id}
        _, refused = self._client.asked("update_secret_version_stage", SecretId=secret_id, **label)
        if refused not in (None, "InvalidParameterException"):
            raise failed("written", refused)
