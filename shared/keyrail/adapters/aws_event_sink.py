"""Lifecycle events into AWS: an SNS topic or an EventBridge event bus, chosen by the ARN. The message, or the detail,
is the CloudEvent in JSON.

A refusal of the message itself is about this very event. Anything else is a receiver that takes nothing now: what it
does not get it gets after the next tick, so nothing is tried twice here.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keyrail.adapters.aws_client import CONNECT_SECONDS, AwsClient
from keyrail.adapters.event_document import document_of
from keyrail.domain.errors import Unavailable
from keyrail.domain.events import LifecycleEvent
from keyrail.rotation_ports import EventSink

SEND_SECONDS = 2.0  # for an answer, beside connecting
SOURCE = "keyrail"  # of an event in EventBridge, for rules to match
ARN = re.compile(
    r"arn:aws[a-z-]*:(?:(sns):[a-z0-9-]+:\d{12}:[\w-]{1,256}(?:\.fifo)?"
    r"|events:[a-z0-9-]+:\d{12}:event-bus/[\w./-]{1,256})"
)
_ABOUT_THE_EVENT = {"InvalidParameter", "InvalidParameterValue", "InvalidArgument", "MalformedDetail"}


class _Refused(Exception):
    """This very event."""


def aws_event_sink(arn: str, endpoint_url: str | None = None) -> EventSink:
    """Raises: ValueError where it is neither."""
    match = ARN.fullmatch(arn)
    if match is None:
        raise ValueError("KEYRAIL_EVENT_ARN must be the ARN of an SNS topic or of an event bus")
    return SnsEventSink(arn, endpoint_url) if match[1] else EventBridgeSink(arn, endpoint_url)


class SnsEventSink:
    """One request an event. The attribute `type` is for filter policies; on a FIFO topic a subject's events keep their
    order."""

    def __init__(self, topic_arn: str, endpoint_url: str | None = None) -> None:
        self._topic_arn = topic_arn
        self._client = AwsClient("sns", SEND_SECONDS, endpoint_url)

    def send(self, event: LifecycleEvent, seconds: float) -> bool:
        document = document_of(event)
        request: dict[str, Any] = {
            "TopicArn": self._topic_arn,
            "Message": json.dumps(document),
            "MessageAttributes": {"type": {"DataType": "String", "StringValue": document["type"]}},
        }
        if self._topic_arn.endswith(".fifo"):
            request |= {"MessageGroupId": event.subject[:128], "MessageDeduplicationId": event.event_id}
        try:
            with _meant(seconds):
                self._client.get().publish(**request)
        except _Refused:
            return False
        return True


class EventBridgeSink:
    """One request an event."""

    def __init__(self, bus_arn: str, endpoint_url: str | None = None) -> None:
        self._bus_arn = bus_arn
        self._client = AwsClient("events", SEND_SECONDS, endpoint_url)

    def send(self, event: LifecycleEvent, seconds: float) -> bool:
        document = document_of(event)
        entry = {
            "EventBusName": self._bus_arn,
            "Source": SOURCE,
            "DetailType": document["type"],
            "Detail": json.dumps(document),
            "Time": event.at,
        }
        try:
            with _meant(seconds):
                reply = self._client.get().put_events(Entries=[entry])
                if reply["FailedEntryCount"]:  # of a call that as such went well
                    raise _meaning(str(reply["Entries"][0].get("ErrorCode")))
        except _Refused:
            return False
        return True


@contextmanager
def _meant(seconds: float) -> Iterator[None]:
    """Raises: _Refused, Unavailable; texts of AWS stay out, as they may quote the event."""
    from botocore import exceptions

    if seconds < CONNECT_SECONDS + SEND_SECONDS:
        raise _unavailable("too little time is left")
    try:
        yield
    except exceptions.ClientError as error:
        raise _meaning(str(error.response["Error"].get("Code"))) from None
    except (exceptions.BotoCoreError, ValueError) as error:
        raise _unavailable(type(error).__name__) from None


def _meaning(code: str) -> Exception:
    return _Refused() if code in _ABOUT_THE_EVENT else _unavailable(code)


def _unavailable(why: str) -> Unavailable:
    return Unavailable(f"the receiver of events does not take them: {why}")
