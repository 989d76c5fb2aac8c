"""Lifecycle events into SNS and EventBridge, and what a receiver that fails does to them."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_faults import REQUEST_LOST, Answer, Fate, serving
from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.aws_event_sink import EventBridgeSink, SnsEventSink, aws_event_sink
from keyrail.bootstrap import build_services
from keyrail.dev.ports import free_ports
from keyrail.domain.errors import Internal, Unavailable
from keyrail.domain.events import LifecycleEvent, event_id
from keyrail.domain.key_format import KeyFormat, new_key_id, new_secret
from keyrail.event_delivery import deliver_events
from keyrail.operations import issue_key
from keyrail.settings import load_settings
from vault_mount import NOW, Mount
from vault_world import vault_world

TOPIC = "arn:aws:sns:eu-central-1:123456789012:keys"
BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/keys"
KINDS = {"sns": (TOPIC, SnsEventSink), "events": (BUS, EventBridgeSink)}


def an_event(**facts: Any) -> LifecycleEvent:
    key_id = new_key_id()
    return LifecycleEvent(event_id("key.revoked", key_id, "1"), "key.revoked", NOW, "acme", key_id, facts)


class Receiver:
    """Takes everything, unless told otherwise; it keeps what it was sent."""

    def __init__(self) -> None:
        self.fates: list[Fate] = []
        self.sent: list[tuple[str, bytes]] = []

    def answer(self, headers: Any, body: bytes) -> Answer:
        self.sent.append((headers.get("X-Amz-Target", ""), body))
        if self.fates:
            return self.fates.pop(0).answer
        if headers.get("X-Amz-Target"):
            return 200, b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}'
        return 200, b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def endpoint(receiver: Receiver, aws_credentials: None) -> Iterator[str]:
    with serving(receiver.answer) as url:
        yield url


class TestSns:
    def test_a_subscriber_gets_the_event(self, aws_endpoint: str, aws_credentials: None) -> None:
        """Through moto's topic into its queue."""
        sns, sqs = (AwsClient(service, 5.0, aws_endpoint).get() for service in ("sns", "sqs"))
        topic = sns.create_topic(Name=f"keys-{secrets.token_hex(4)}")["TopicArn"]
        queue = sqs.create_queue(QueueName=f"keys-{secrets.token_hex(4)}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        event = an_event(actor="somebody")
        assert aws_event_sink(topic, aws_endpoint).send(event, 5.0)
        reply = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])
        (message,) = reply["Messages"]
        assert json.loads(message["Body"]) == event.as_cloudevent()
        assert message["MessageAttributes"]["type"]["StringValue"] == "keyrail.key.revoked"

    def test_a_fifo_topic_is_told_subject_and_id(self, receiver: Receiver, endpoint: str) -> None:
        event = an_event()
        assert aws_event_sink(f"{TOPIC}.fifo", endpoint).send(event, 5.0)
        ((_, body),) = receiver.sent
        assert f"MessageGroupId={event.subject}".encode() in body
        assert f"MessageDeduplicationId={event.event_id}".encode() in body

    def test_a_topic_that_is_not_there_takes_nothing(self, aws_endpoint: str, aws_credentials: None) -> None:
        with pytest.raises(Unavailable, match="key store") as refused:
            aws_event_sink(f"{TOPIC}-{secrets.token_hex(4)}", aws_endpoint).send(an_event(), 5.0)
        assert "NotFound" in refused.value.detail


def test_a_bus_gets_the_event(receiver: Receiver, endpoint: str) -> None:
    event = an_event(actor="somebody")
    assert aws_event_sink(BUS, endpoint).send(event, 5.0)
    ((target, body),) = receiver.sent
    assert target == "AWSEvents.PutEvents"
    (entry,) = json.loads(body)["Entries"]
    assert json.loads(entry.pop("Detail")) == event.as_cloudevent()
    assert entry == {
        "EventBusName": BUS,
        "Source": "keyrail",
        "DetailType": "keyrail.key.revoked",
        "Time": int(NOW.timestamp()),
    }


def sns_error(code: str, status: int) -> Fate:
    return Fate((status, f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode()))


def failed_entry(code: str) -> Fate:
    return Fate((200, json.dumps({"FailedEntryCount": 1, "Entries": [{"ErrorCode": code}]}).encode()))


@pytest.mark.parametrize(
    ("arn", "fate"),
    [(TOPIC, sns_error("InvalidParameter", 400)), (BUS, failed_entry("MalformedDetail"))],
    ids=["sns", "events"],
)
def test_a_refusal_of_the_event_itself_is_no_fault(receiver: Receiver, endpoint: str, arn: str, fate: Fate) -> None:
    sink, receiver.fates = aws_event_sink(arn, endpoint), [fate]
    assert sink.send(an_event(), 5.0) is False
    assert sink.send(an_event(), 5.0) is True


@pytest.mark.parametrize(
    ("arn", "fate"),
    [
        (TOPIC, sns_error("Throttled", 400)),
        (TOPIC, sns_error("AuthorizationError", 403)),
        (TOPIC, sns_error("InternalError", 500)),
        (TOPIC, REQUEST_LOST),
        (BUS, failed_entry("ThrottlingException")),
        (BUS, failed_entry("InternalException")),
        (BUS, REQUEST_LOST),
    ],
)
def test_a_receiver_that_takes_nothing_is_unavailable_and_asked_once(
    receiver: Receiver, endpoint: str, arn: str, fate: Fate
) -> None:
    receiver.fates = [fate]
    with pytest.raises(Unavailable):
        aws_event_sink(arn, endpoint).send(an_event(), 5.0)
    assert len(receiver.sent) == 1


@pytest.mark.parametrize("arn", [TOPIC, BUS])
def test_what_looks_like_a_key_is_cut_out(receiver: Receiver, endpoint: str, arn: str) -> None:
    key = KeyFormat().assemble(new_key_id(), new_secret())
    assert aws_event_sink(arn, endpoint).send(an_event(reason=f"leaked: {key}"), 5.0)
    ((_, body),) = receiver.sent
    assert key.encode() not in body
    assert b"redacted" in body


@pytest.mark.parametrize("arn", [TOPIC, BUS])
def test_nothing_is_begun_that_could_outlast_its_time(receiver: Receiver, endpoint: str, arn: str) -> None:
    with pytest.raises(Unavailable):
        aws_event_sink(arn, endpoint).send(an_event(), 1.0)
    assert receiver.sent == []


@pytest.mark.parametrize("arn", [TOPIC, BUS])
def test_away_is_unavailable(aws_credentials: None, arn: str) -> None:
    with pytest.raises(Unavailable):
        aws_event_sink(arn, f"http://127.0.0.1:{free_ports(1)[0]}").send(an_event(), 5.0)


class TestSettings:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_arn_chooses(self, kind: str) -> None:
        arn, chosen = KINDS[kind]
        services = build_services(load_settings({"KEYRAIL_STORE": "memory", "KEYRAIL_EVENT_ARN": arn}))
        assert isinstance(services.event_sink, chosen)
        assert services.outbox is not None

    @pytest.mark.parametrize(
        "env",
        [
            {"KEYRAIL_EVENT_ARN": "arn:aws:sqs:eu-central-1:123456789012:keys"},
            {"KEYRAIL_EVENT_ARN": "keys"},
            {"KEYRAIL_EVENT_ARN": f"{TOPIC}\n"},
            {"KEYRAIL_EVENT_ARN": TOPIC, "K_SINK": "http://127.0.0.1:9"},
        ],
    )
    def test_anything_else_is_refused(self, env: dict[str, str]) -> None:
        with pytest.raises(Internal) as refused:
            build_services(load_settings({"KEYRAIL_STORE": "memory", **env}))
        assert "KEYRAIL_EVENT_ARN" in refused.value.detail

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_iam_policy_names_the_one_action(self, kind: str) -> None:
        (statement,) = json.loads(Path("infra/aws/events.json").read_text())[kind]["Statement"]
        assert statement["Action"] == [{"sns": "sns:Publish", "events": "events:PutEvents"}[kind]]
        assert statement["Resource"] == "${event_arn}"


def test_what_waits_in_the_outbox_is_sent_once_the_bus_takes_it(
    mount: Mount, receiver: Receiver, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", endpoint)
    with vault_world(mount, KEYRAIL_EVENT_ARN=BUS) as world:
        issued = world.call(issue_key.OPERATION, tenant="acme", owner="a", name="a key")
        receiver.fates = [failed_entry("ThrottlingException")]
        report = deliver_events(world.services, world.clock.elapsed_seconds() + 30)
        assert (report.sent, report.waiting) == (0, 1)
        report = deliver_events(world.services, world.clock.elapsed_seconds() + 30)
        assert (report.sent, report.waiting) == (1, 0)
        details = [json.loads(json.loads(body)["Entries"][0]["Detail"]) for _, body in receiver.sent]
        assert details[0] == details[1], "under the same id"
        assert (details[0]["type"], details[0]["subject"]) == ("keyrail.key.issued", issued.key_id)
