"""The part of bootstrap.py that chooses what lies in AWS. boto3 is imported by the first request, not here."""

from importlib.util import find_spec
from typing import Any

from keyrail.domain.errors import Internal
from keyrail.rotation_ports import EventSink, KeyDelivery, SecretVersions
from keyrail.settings import Settings


def in_dynamodb(settings: Settings) -> dict[str, Any]:
    """Those of the stores that outgrow one Vault: keys, the due index and the change feed. Raises: Internal."""
    from keyrail.adapters.dynamodb_due import DynamoDueIndex
    from keyrail.adapters.dynamodb_feed import DynamoChangeFeed
    from keyrail.adapters.dynamodb_keys import DynamoKeyStore
    from keyrail.adapters.dynamodb_table import DynamoTable

    _require_boto3("KEYRAIL_STORE")
    table = DynamoTable(settings.dynamodb_table, settings.dynamodb_deadline_seconds)
    return {"keys": DynamoKeyStore(table), "due": DynamoDueIndex(table), "feed": DynamoChangeFeed(table)}


def in_secrets_manager(prefix: str) -> KeyDelivery:
    """Raises: Internal."""
    from keyrail.adapters.secrets_manager_delivery import SecretsManagerDelivery

    _require_boto3("KEYRAIL_SECRETS_PREFIX")
    return SecretsManagerDelivery(prefix)


def secret_versions(settings: Settings) -> SecretVersions | None:
    """Of the secrets that AWS rotates; those of a sink's prefix, so boto3 is known to be there."""
    if settings.secrets_prefix is None:
        return None
    from keyrail.adapters.secrets_manager_versions import SecretsManagerVersions

    return SecretsManagerVersions(settings.secrets_prefix)


def in_aws_events(settings: Settings) -> EventSink:
    """Raises: Internal."""
    from keyrail.adapters.aws_event_sink import aws_event_sink

    if settings.event_sink is not None:
        raise Internal("settings: K_SINK and KEYRAIL_EVENT_ARN: events have one receiver")
    _require_boto3("KEYRAIL_EVENT_ARN")
    try:
        return aws_event_sink(settings.event_arn or "")
    except ValueError as error:
        raise Internal(f"settings: {error}") from error


def _require_boto3(setting: str) -> None:
    try:
        is_installed = find_spec("boto3") is not None
    except ModuleNotFoundError:
        is_installed = False
    if not is_installed:
        raise Internal(f"settings: {setting}: boto3 is not installed: keyrail[aws] brings it")
