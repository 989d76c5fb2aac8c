"""The sink `secretsmanager:<tenant>/<name>`: the secret `<prefix><tenant>/<name>` of AWS Secrets Manager.

Its text is as in Vault: {"api_key": "<whole key>", "key_id": ..., "generation": n}.

A version's id is its number, 20 digits, and 12 random ones: two writers never mean the same version. It is put under a
label of our own first, and becomes current by moving AWSCURRENT away from the very version that it replaces: that is
refused where another one was faster. A version that lost, or whose writer was killed, keeps no label, and AWS drops it.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
"""

import hashlib
import re
import secrets

from keyrail.adapters.secrets_manager import NO_ANSWER, SecretsManager, failed, read_text, text_of
from keyrail.domain.sinks import Sink
from keyrail.rotation_ports import Delivered

STAGED = "KEYRAILSTAGED"
_OURS = re.compile(r"(\d{20})-[0-9a-f]{12}")


class SecretsManagerDelivery:
    """Requests to AWS: read 1; write 3, and 1 for a secret that it makes."""

    def __init__(self, prefix: str, endpoint_url: str | None = None) -> None:
        self._prefix = prefix
        self._client = SecretsManager(endpoint_url)

    def read(self, sink: Sink) -> Delivered | None:
        version_id, key = self._current(sink)
        return None if version_id is None else Delivered(key, _number(version_id))

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        text = text_of(key, key_id, generation)
        made = f"{version + 1:020d}-{secrets.token_hex(6)}"
        if version == 0:
            return self._created(sink, text, made)
        current, _ = self._current(sink)
        if current is None or _number(current) != version:
            return False
        self._put(sink, text, made)
        return self._moved(sink, current, made)

    def _created(self, sink: Sink, text: str, made: str) -> bool:
        _, refused = self._client.asked(
            "create_secret", Name=self._name(sink), SecretString=text, ClientRequestToken=made
        )
        if refused is None:
            return True
        if refused != "ResourceExistsException":
            raise failed("made", refused)
        if self._current(sink)[0] is None:  # made by Terraform, say, and still empty: its first version is current
            self._put(sink, text, made)
        return self._current(sink)[0] == made

    def _put(self, sink: Sink, text: str, made: str) -> None:
        given = {"SecretString": text, "ClientRequestToken": made, "VersionStages": [STAGED]}
        _, refused = self._client.asked("put_secret_value", SecretId=self._name(sink), **given)
        if refused is not None:
            raise failed("written", refused)

    def _moved(self, sink: Sink, current: str, made: str) -> bool:
        versions = {"RemoveFromVersionId": current, "MoveToVersionId": made}
        stage = {"SecretId": self._name(sink), "VersionStage": "AWSCURRENT"}
        _, refused = self._client.asked("update_secret_version_stage", **stage, **versions)
        if refused not in (None, "InvalidParameterException", NO_ANSWER):
            raise failed("written", refused)
        found = made if refused is None else self._current(sink)[0]
        if refused == NO_ANSWER and found == current:
            raise failed("written", refused)  # it may still arrive
        return found == made

    def _current(self, sink: Sink) -> tuple[str | None, str]:
        """The current version's id, None where there is none, and the key in it."""
        reply, refused = self._client.asked("get_secret_value", SecretId=self._name(sink), VersionStage="AWSCURRENT")
        if refused == "ResourceNotFoundException":
            return None, ""
        if refused is not None:
            raise failed("read", refused)
        return str(reply["VersionId"]), read_text(reply.get("SecretString")).key

    def _name(self, sink: Sink) -> str:
        return self._prefix + "/".join(sink.segments)


def _number(version_id: str) -> int:
    """Of a version that somebody else made, any number that stands for it alone."""
    match = _OURS.fullmatch(version_id)
    return int(match[1]) if match else int(hashlib.sha256(version_id.encode()).hexdigest()[:15], 16) + 1
