"""What an administrator sets up and looks at where there is no Vault. No function loads it."""

from keyrail.adapters.aws_setup import AwsPlace
from keyrail.adapters.dynamodb_documents import DynamoDocuments
from keyrail.adapters.kms_pepper import KmsPepperPlace
from keyrail.adapters.pepper_admin import PepperPlace
from keyrail.adapters.secrets_manager_pepper import SecretsManagerPepperPlace
from keyrail.bootstrap_aws import dynamo_table
from keyrail.ports import Clock, NoMetrics
from keyrail.settings import Settings


def aws_place(settings: Settings, clock: Clock) -> AwsPlace:
    """Raises: Internal."""
    table = dynamo_table(settings, NoMetrics())
    documents = DynamoDocuments(table)
    pepper: PepperPlace = SecretsManagerPepperPlace(settings.pepper_secret)
    if settings.pepper == "kms":
        pepper = KmsPepperPlace(documents, settings.pepper_key, clock)
    return AwsPlace(table, documents, pepper)
