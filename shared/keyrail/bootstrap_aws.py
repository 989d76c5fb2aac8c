"""The part of bootstrap.py that chooses what lies in AWS. boto3 is imported by the first request, not here."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from keyrail.domain.errors import Internal
from keyrail.ports import Clock, Metrics, PepperSource
from keyrail.rotation_ports import EventSink, KeyDelivery, SecretVersions
from keyrail.settings import Settings

if TYPE_CHECKING:
    from keyrail.adapters.dynamodb_documents import DynamoDocuments
    from keyrail.adapters.dynamodb_table import DynamoTable


def is_without_vault(settings: Settings) -> bool:
    """Raises: Internal where the settings don't go together."""
    if settings.pepper != "vault" and settings.store != "dynamodb":
        raise Internal(f"settings: KEYRAIL_PEPPER: {settings.pepper} goes with KEYRAIL_STORE=dynamodb")
    if settings.pepper == "secretsmanager" and settings.pepper_secret.startswith(settings.secrets_prefix or "\n"):
        raise Internal("settings: KEYRAIL_PEPPER_SECRET: below KEYRAIL_SECRETS_PREFIX rotate could write it")
    return settings.pepper != "vault"


def in_dynamodb(table: "DynamoTable") -> dict[str, Any]:
    """Those of the stores that outgrow one Vault: keys, the due index and the change feed."""
    from keyrail.adapters.dynamodb_due import DynamoDueIndex
    from keyrail.adapters.dynamodb_feed import DynamoChangeFeed
    from keyrail.adapters.dynamodb_keys import DynamoKeyStore

    return {"keys": DynamoKeyStore(table), "due": DynamoDueIndex(table), "feed": DynamoChangeFeed(table)}


def without_vault(settings: Settings, metrics: Metrics, clock: Clock) -> dict[str, Any]:
    """All stores but the sinks. Raises: Internal."""
    from keyrail.adapters.dynamodb_documents import DynamoDocuments, DynamoRoleSource, DynamoUsageLog
    from keyrail.adapters.dynamodb_outbox import DynamoEventOutbox
    from keyrail.adapters.no_config_store import NoConfigStore

    table = dynamo_table(settings, metrics)
    documents = DynamoDocuments(table)
    return {
        **in_dynamodb(table),
        "peppers": _peppers(settings, documents),
        "roles": DynamoRoleSource(documents),
        "usage": DynamoUsageLog(documents, clock.elapsed_seconds, background=settings.has_background()),
        "outbox": DynamoEventOutbox(table),
        "configs": NoConfigStore(),
        "rotators": {},
    }


def _peppers(settings: Settings, documents: "DynamoDocuments") -> PepperSource:
    if settings.pepper == "kms":
        from keyrail.adapters.kms_pepper import KmsPepper

        return KmsPepper(documents)
    from keyrail.adapters.secrets_manager_pepper import SecretsManagerPepper

    return SecretsManagerPepper(settings.pepper_secret)


def dynamo_table(settings: Settings, metrics: Metrics) -> "DynamoTable":
    """Raises: Internal."""
    from keyrail.adapters.dynamodb_table import DynamoTable

    _require_boto3("KEYRAIL_STORE")
    return DynamoTable(settings.dynamodb_table, settings.dynamodb_deadline_seconds, metrics=metrics)


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
