"""Documents by name in DynamoDB, where there is no Vault: roles, use of keys, which peppers there are, the admin key's
marker. An item each: pk is the name, beside `document` (JSON) and `version`, which every write names."""

import json
from collections.abc import Callable
from typing import Any

from keyrail.adapters.batched_usage import BatchedUsageLog
from keyrail.adapters.dynamodb_layout import usage_pk
from keyrail.adapters.dynamodb_table import ConditionFailed, DynamoTable
from keyrail.domain.errors import Unavailable
from keyrail.domain.roles import Roles, decode_roles
from keyrail.domain.stored_form import Malformed

ROLES_PK = "rbac/roles"  # as in Vault


class DynamoDocuments:
    """Requests: read 1, write 1."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def read(self, name: str) -> tuple[dict[str, Any], int] | None:
        """Never stale. Raises: Unavailable also where it is no document."""
        item = self._table.read("get_item", Key={"pk": {"S": name}}, ConsistentRead=True).get("Item")
        if item is None:
            return None
        try:
            document, version = json.loads(item["document"]["S"]), int(item["version"]["N"])
        except (KeyError, ValueError, RecursionError):
            document, version = None, 0
        if not isinstance(document, dict):
            raise Unavailable(f"{name} in DynamoDB is no document")
        return document, version

    def write(self, name: str, data: dict[str, Any], version: int) -> bool:
        """False where the stored version is another one (0: there is none), which then stays as it is."""
        stands: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if version > 0:
            named = {":version": {"N": str(version)}}
            stands = {"ConditionExpression": "version = :version", "ExpressionAttributeValues": named}
        text, number = json.dumps(data), str(version + 1)
        item = {"pk": {"S": name}, "document": {"S": text}, "version": {"N": number}}
        try:
            self._table.write("put_item", Item=item, **stands)
        except ConditionFailed:
            return False
        return True


class DynamoRoleSource:
    """1 request."""

    def __init__(self, documents: DynamoDocuments) -> None:
        self._documents = documents

    def read(self) -> Roles:
        found = self._documents.read(ROLES_PK)
        if found is None:
            raise Unavailable(f"{ROLES_PK} is not in DynamoDB: run `keyrail bootstrap`")
        try:
            return decode_roles(found[0])
        except Malformed as error:
            raise Unavailable(f"{ROLES_PK} in DynamoDB is malformed {error}") from error


class DynamoUsageLog(BatchedUsageLog):
    def __init__(
        self, documents: DynamoDocuments, elapsed_seconds: Callable[[], float], *, background: bool = True
    ) -> None:
        super().__init__(_UsageInDynamo(documents), elapsed_seconds, background=background)


class _UsageInDynamo:
    def __init__(self, documents: DynamoDocuments) -> None:
        self._documents = documents

    def read(self, key_id: str) -> tuple[dict[str, Any], int] | None:
        return self._documents.read(usage_pk(key_id))

    def write(self, key_id: str, document: dict[str, Any], version: int) -> bool:
        return self._documents.write(usage_pk(key_id), document, version)
