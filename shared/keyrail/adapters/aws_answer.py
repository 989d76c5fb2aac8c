"""What AWS answers to one request, for services whose answers are few: Secrets Manager, KMS and STS.

Texts of exceptions may quote the request, so only their classes and codes are told.
"""

import random
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from keyrail.adapters.aws_client import AwsClient
from keyrail.domain.errors import Unavailable

TRIES = 3  # of a read
PAUSE_SECONDS = 0.05  # the longest before the second try, doubled before the third
NO_ANSWER = "no answer"  # nobody knows what became of the request
_MAY_PASS = {NO_ANSWER, "ThrottlingException", "Throttling", "TooManyRequestsException", "LimitExceededException"}


def ask(client: AwsClient, action: str, **request: Any) -> tuple[dict[str, Any], str | None]:
    """The reply; where there is none, the code of AWS's refusal, NO_ANSWER, or why nothing could be sent."""
    from botocore import exceptions

    try:
        return getattr(client.get(), action)(**request), None
    except exceptions.ClientError as error:
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        return {}, NO_ANSWER if status >= 500 else str(error.response["Error"].get("Code", status))
    except exceptions.HTTPClientError:
        return {}, NO_ANSWER
    except (exceptions.BotoCoreError, ValueError) as error:  # no credentials, no region, a malformed endpoint
        return {}, type(error).__name__


def ask_until_answered(client: AwsClient, action: str, **request: Any) -> tuple[dict[str, Any], str | None]:
    """As `ask`, for what may be repeated: a read that is throttled, or lost, is tried again for a moment."""
    for left in reversed(range(TRIES)):
        reply, refused = ask(client, action, **request)
        if refused not in _MAY_PASS or not left:
            break
        time.sleep(random.uniform(0, PAUSE_SECONDS) * 2 ** (TRIES - 1 - left))  # noqa: S311 - spreads load
    return reply, refused


def answer_of(client: AwsClient, action: str, **request: Any) -> dict[str, Any]:
    """Raises: Unavailable, also where AWS refuses."""
    reply, refused = ask_until_answered(client, action, **request)
    if refused is not None:
        raise Unavailable(f"AWS {action}: {refused}")
    return reply


def server_time(reply: dict[str, Any]) -> datetime | None:
    """Whole seconds."""
    date = reply["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(date) if date else None
