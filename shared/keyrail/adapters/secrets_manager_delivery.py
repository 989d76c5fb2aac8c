"""The sink `secretsmanager:<tenant>/<name>`: the secret `<prefix><tenant>/<name>` of AWS Secrets Manager.

A version's id is its number, 20 digits, and 12 random ones: two writers never mean the same version.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.secrets_manager_secret import SecretFault, VersionedSecret
from keyrail.adapters.secrets_manager_text import DEADLINE_SECONDS, read_text, text_of
from keyrail.domain.errors import DeliveryFailed
from keyrail.domain.sinks import Sink
from keyrail.rotation_ports import Delivered

_OURS = re.compile(r"(\d{20})-[0-9a-f]{12}")


class SecretsManagerDelivery:
    """Requests to AWS: read 1; write 3, and 1 for a secret that it makes."""

    def __init__(self, prefix: str, endpoint_url: str | None = None) -> None:
        self._prefix = prefix
        self._client = AwsClient("secretsmanager", DEADLINE_SECONDS, endpoint_url)

    def read(self, sink: Sink) -> Delivered | None:
        with _faults_told():
            held = self._secret(sink).current()
        return None if held is None else Delivered(read_text(held.get("SecretString")).key, _number(held["VersionId"]))

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        secret, text = self._secret(sink), text_of(key, key_id, generation)
        made = f"{version + 1:020d}-{secrets.token_hex(6)}"
        with _faults_told():
            if version == 0:
                return secret.create(text, made)
            held = secret.current()
            if held is None or _number(held["VersionId"]) != version:
                return False
            return secret.replace(held["VersionId"], text, made)

    def _secret(self, sink: Sink) -> VersionedSecret:
        return VersionedSecret(self._client, self._prefix + "/".join(sink.segments))


@contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except SecretFault as error:
        raise DeliveryFailed(str(error)) from error


def _number(version_id: str) -> int:
    """Of a version that somebody else made, any number that stands for it alone."""
    match = _OURS.fullmatch(version_id)
    return int(match[1]) if match else int(hashlib.sha256(version_id.encode()).hexdigest()[:15], 16) + 1
