"""The pepper that AWS KMS makes: version n is the HMAC, under a key that never leaves KMS, of "keyrail pepper v<n>".

Which versions there are, and each one's key, is a document in DynamoDB; the pepper itself is stored nowhere, and is in
the memory of a process only, as one from Vault is. So KMS is asked once a process and version, never by a validation.

    pepper   {"current": 1, "versions": {"1": "<the key's ARN>"}, "changed_at": "<RFC 3339>"}

KMS calls this use of GenerateMac a key derivation function:
https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateMac.html
"""

import re
from datetime import datetime
from typing import Any

from keyrail.adapters.aws_answer import answer_of
from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.dynamodb_documents import DynamoDocuments
from keyrail.domain.digest import PEPPER_BYTES, Peppers
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.domain.pepper_document import PepperVersions, decode_versions, require_whole
from keyrail.ports import Clock

PEPPER_PK = "pepper"
ALGORITHM = "HMAC_SHA_256"
DEADLINE_SECONDS = 2.0  # for each request
KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9A-Za-z-]{1,64}")


class KmsPepper:
    """Requests: 1 to DynamoDB; 1 to KMS for each version that this process has not seen. For functions."""

    def __init__(self, documents: DynamoDocuments, endpoint_url: str | None = None) -> None:
        self._documents = documents
        self._client = AwsClient("kms", DEADLINE_SECONDS, endpoint_url)
        self._made: dict[tuple[int, str], bytes] = {}

    def read(self) -> Peppers:
        """A version that KMS can't make makes all of them unavailable: its keys must not look unknown."""
        found = self._documents.read(PEPPER_PK)
        if found is None:
            raise Unavailable("there is no pepper in DynamoDB: run `keyrail bootstrap`")
        versions = _versions(found[0])
        if versions is None:
            raise Unavailable("the pepper's document in DynamoDB is malformed")
        return Peppers(versions.current, {n: self._pepper(n, key) for n, key in versions.values.items()})

    def _pepper(self, version: int, key: str) -> bytes:
        made = self._made.get((version, key))
        if made is None:
            made = self._made[version, key] = derive(self._client, version, key)
        return made


class KmsPepperPlace:
    """For an administrator: `key` is an id, alias or ARN, and makes the versions that are added. What a write names is
    the version of the document."""

    def __init__(self, documents: DynamoDocuments, key: str, clock: Clock, endpoint_url: str | None = None) -> None:
        self._documents, self._key, self._clock = documents, key, clock
        self._client = AwsClient("kms", DEADLINE_SECONDS, endpoint_url)

    def read(self) -> tuple[PepperVersions, int] | None:
        found = self._documents.read(PEPPER_PK)
        return None if found is None else (require_whole(_versions(found[0])), found[1])

    def write(self, versions: PepperVersions, after: int | None) -> bool:
        document = versions.document() | {"changed_at": self._clock.now().isoformat()}
        try:
            return self._documents.write(PEPPER_PK, document, after or 0)
        except DeadlineExceeded as unknown:
            raise Unavailable(unknown.detail) from unknown

    def new_value(self, version: int) -> str:
        """An alias may be moved to another key, so what is stored is the ARN; and nothing that KMS can't use."""
        arn = str(answer_of(self._client, "describe_key", KeyId=self._key)["KeyMetadata"]["Arn"])
        derive(self._client, version, arn)
        return arn

    def forget_history(self) -> None:
        """A table keeps none."""

    def unchanged_seconds(self, now: datetime) -> float:
        document, _ = self._documents.read(PEPPER_PK) or ({}, 0)
        try:
            return (now - datetime.fromisoformat(document["changed_at"])).total_seconds()
        except (KeyError, ValueError, TypeError):  # somebody changed it by hand
            return 0.0


def derive(client: AwsClient, version: int, key: str) -> bytes:
    """Raises: Unavailable."""
    message = f"keyrail pepper v{version}".encode()
    mac = bytes(answer_of(client, "generate_mac", KeyId=key, Message=message, MacAlgorithm=ALGORITHM)["Mac"])
    if len(mac) != PEPPER_BYTES:
        raise Unavailable(f"AWS generate_mac: {len(mac)} bytes")
    return mac


def _versions(document: dict[str, Any]) -> PepperVersions | None:
    return decode_versions({name: value for name, value in document.items() if name != "changed_at"}, KEY_ARN)
