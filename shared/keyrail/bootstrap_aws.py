"""The part of bootstrap.py that chooses what lies in AWS. boto3 is imported by the first request, not here."""

from importlib.util import find_spec
from typing import Any

from keyrail.domain.errors import Internal
from keyrail.settings import Settings


def in_dynamodb(settings: Settings) -> dict[str, Any]:
    """Those of the stores that outgrow one Vault: keys, the due index and the change feed. Raises: Internal."""
    from keyrail.adapters.dynamodb_due import DynamoDueIndex
    from keyrail.adapters.dynamodb_feed import DynamoChangeFeed
    from keyrail.adapters.dynamodb_keys import DynamoKeyStore
    from keyrail.adapters.dynamodb_table import DynamoTable

    if not _is_installed("boto3"):
        raise Internal("settings: KEYRAIL_STORE: boto3 is not installed: keyrail[aws] brings it")
    table = DynamoTable(settings.dynamodb_table, settings.dynamodb_deadline_seconds)
    return {"keys": DynamoKeyStore(table), "due": DynamoDueIndex(table), "feed": DynamoChangeFeed(table)}


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
