"""Requests to AWS Secrets Manager, and the text of a secret that holds a key:
{"api_key": "<whole key>", "key_id": ..., "generation": n}."""

import json
from typing import Any

from keyrail.adapters.aws_client import AwsClient
from keyrail.domain.errors import DeliveryFailed
from keyrail.rotation_ports import SecretVersion

DEADLINE_SECONDS = 5.0  # for each request
NO_ANSWER = "no answer"  # the request may have arrived, or may still arrive


class SecretsManager(AwsClient):
    def __init__(self, endpoint_url: str | None = None) -> None:
        super().__init__("secretsmanager", DEADLINE_SECONDS, endpoint_url)

    def asked(self, action: str, **request: Any) -> tuple[dict[str, Any], str | None]:
        """The reply; where there is none the code of AWS's refusal, or NO_ANSWER. Raises: DeliveryFailed."""
        from botocore import exceptions

        try:
            return getattr(self.get(), action)(**request), None
        except exceptions.ClientError as error:  # its text may quote the request
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            return {}, NO_ANSWER if status >= 500 else str(error.response["Error"].get("Code", status))
        except exceptions.HTTPClientError:
            return {}, NO_ANSWER
        except (exceptions.BotoCoreError, ValueError) as error:
            raise failed("reached", type(error).__name__) from None


def failed(what: str, why: str | None) -> DeliveryFailed:
    return DeliveryFailed(f"the secret could not be {what}: {why}")


def text_of(key: str, key_id: str, generation: int) -> str:
    return json.dumps({"api_key": key, "key_id": key_id, "generation": generation})


def read_text(text: object) -> SecretVersion:
    """Empty where it is none of our documents."""
    try:
        document = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        document = None
    found = document if isinstance(document, dict) else {}
    key, key_id = (found.get(name) for name in ("api_key", "key_id"))
    return SecretVersion(key if isinstance(key, str) else "", key_id if isinstance(key_id, str) else "")
