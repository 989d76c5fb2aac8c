"""The sink `secretsmanager:<tenant>/<name>`: the secret `<prefix><tenant>/<name>` of AWS Secrets Manager.

Its text is as in Vault: {"api_key": "<whole key>", "key_id": ..., "generation": n}.

A version's id is its number, 20 digits, and 12 random ones: two writers never mean the same version. It is put under a
label of our own first, and becomes current by moving AWSCURRENT away from the very version that it replaces: that is
refused where another one was faster. A version that lost, or whose writer was killed, keeps no label, and AWS drops it.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
"""

import hashlib
import json
import re
import secrets
from typing import Any

from keyrail.adapters.aws_client import AwsClient
from keyrail.domain.errors import DeliveryFailed
from keyrail.domain.sinks import Sink
from keyrail.rotation_ports import Delivered

STAGED = "KEYRAILSTAGED"
DEADLINE_SECONDS = 5.0  # for each request
_OURS = re.compile(r"(\d{20})-[0-9a-f]{12}")


class SecretsManagerDelivery:
    """Requests to AWS: read 1; write 3, and 1 for a secret that it makes."""

    def __init__(self, prefix: str, endpoint_url: str | None = None) -> None:
        self._prefix = prefix
        self._client = AwsClient("secretsmanager", DEADLINE_SECONDS, endpoint_url)

    def read(self, sink: Sink) -> Delivered | None:
        version_id, key = self._current(sink)
        return None if version_id is None else Delivered(key, _number(version_id))

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        text = json.dumps({"api_key": key, "key_id": key_id, "generation": generation})
        made = f"{version + 1:020d}-{secrets.token_hex(6)}"
        if version == 0:
            return self._created(sink, text, made)
        current, _ = self._current(sink)
        if current is None or _number(current) != version:
            return False
        self._put(sink, text, made)
        return self._moved(sink, current, made)

    def _created(self, sink: Sink, text: str, made: str) -> bool:
        _, refused = self._asked("create_secret", Name=self._name(sink), SecretString=text, ClientRequestToken=made)
        if refused is None:
            return True
        if refused != "ResourceExistsException":
            raise _failed("made", refused)
        if self._current(sink)[0] is None:  # made by Terraform, say, and still empty: its first version is current
            self._put(sink, text, made)
        return self._current(sink)[0] == made

    def _put(self, sink: Sink, text: str, made: str) -> None:
        given = {"SecretString": text, "ClientRequestToken": made, "VersionStages": [STAGED]}
        _, refused = self._asked("put_secret_value", SecretId=self._name(sink), **given)
        if refused is not None:
            raise _failed("written", refused)

    def _moved(self, sink: Sink, current: str, made: str) -> bool:
        versions = {"RemoveFromVersionId": current, "MoveToVersionId": made}
        stage = {"SecretId": self._name(sink), "VersionStage": "AWSCURRENT"}
        _, refused = self._asked("update_secret_version_stage", **stage, **versions)
        if refused not in (None, "InvalidParameterException", _UNKNOWN):
            raise _failed("written", refused)
        found = made if refused is None else self._current(sink)[0]
        if refused == _UNKNOWN and found == current:
            raise _failed("written", refused)  # it may still arrive
        return found == made

    def _current(self, sink: Sink) -> tuple[str | None, str]:
        """The current version's id, None where there is none, and the key in it."""
        reply, refused = self._asked("get_secret_value", SecretId=self._name(sink), VersionStage="AWSCURRENT")
        if refused == "ResourceNotFoundException":
            return None, ""
        if refused is not None:
            raise _failed("read", refused)
        return str(reply["VersionId"]), _key_in(reply.get("SecretString"))

    def _asked(self, action: str, **request: Any) -> tuple[dict[str, Any], str | None]:
        """The reply; where there is none the code of AWS's refusal, or _UNKNOWN. Raises: DeliveryFailed."""
        from botocore import exceptions

        try:
            return getattr(self._client.get(), action)(**request), None
        except exceptions.ClientError as error:  # its text may quote the request
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            return {}, _UNKNOWN if status >= 500 else str(error.response["Error"].get("Code", status))
        except exceptions.HTTPClientError:
            return {}, _UNKNOWN
        except (exceptions.BotoCoreError, ValueError) as error:
            raise _failed("reached", type(error).__name__) from None

    def _name(self, sink: Sink) -> str:
        return self._prefix + "/".join(sink.segments)


_UNKNOWN = "no answer"


def _failed(what: str, why: str | None) -> DeliveryFailed:
    return DeliveryFailed(f"the secret could not be {what}: {why}")


def _number(version_id: str) -> int:
    """Of a version that somebody else made, any number that stands for it alone."""
    match = _OURS.fullmatch(version_id)
    return int(match[1]) if match else int(hashlib.sha256(version_id.encode()).hexdigest()[:15], 16) + 1


def _key_in(text: object) -> str:
    """Empty where it is none of our documents."""
    try:
        document = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return ""
    key = document.get("api_key") if isinstance(document, dict) else None
    return key if isinstance(key, str) else ""
