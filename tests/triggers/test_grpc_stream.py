"""ValidateStream: each question is answered in turn, whatever came before it."""

import queue
from collections.abc import Iterable
from typing import Any

import grpc
import pytest
from deployment import PAUSE_SECONDS, Deployment, unavailable
from grpc_client import SECONDS, GrpcClient, refusal_of

from keyrail.v1 import keys_pb2, keys_pb2_grpc

Answers = Any


def stream(client: GrpcClient, questions: Iterable[Any], by: str | None = None) -> Answers:
    stub = keys_pb2_grpc.KeyServiceStub(client.channel)
    client.deployment.clock.seconds += PAUSE_SECONDS
    metadata = client.bearer(by or client.deployment.admin)
    return stub.ValidateStream(iter(questions), metadata=metadata, timeout=SECONDS)


def question(key: str, name: str = "", **presented: Any) -> keys_pb2.ValidateStreamRequest:
    return keys_pb2.ValidateStreamRequest(id=name, presented={"key": key, **presented})


def test_answers_come_in_order_and_carry_the_questions_ids(grpc_client: GrpcClient) -> None:
    keys = [grpc_client.issue(name=f"key {n}").key for n in range(20)]
    answers = list(stream(grpc_client, [question(key, f"q{n}") for n, key in enumerate(keys)]))
    assert [(each.id, each.verdict.name) for each in answers] == [(f"q{n}", f"key {n}") for n in range(20)]


def test_what_is_wrong_with_one_question_ends_no_stream(grpc_client: GrpcClient) -> None:
    key = grpc_client.issue().key
    asked = [question("nonsense"), question(key, ip="no address"), question(key, "x" * 65), question(key)]
    answers = list(stream(grpc_client, asked))
    assert [each.WhichOneof("outcome") for each in answers] == ["verdict", "error", "error", "verdict"]
    assert [each.error.code for each in answers[1:3]] == ["INVALID_FIELD"] * 2
    assert answers[3].verdict.valid


class Conversation:
    """One question after the other: grpc itself would send all of them ahead of the answers."""

    def __init__(self, client: GrpcClient, by: str | None = None) -> None:
        self._questions: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers = stream(client, iter(self._questions.get, None), by)

    def ask(self, asked: keys_pb2.ValidateStreamRequest) -> Any:
        """Raises: grpc.RpcError."""
        self._questions.put(asked)
        try:
            return next(self._answers)
        except grpc.RpcError:
            self.end()
            raise

    def end(self) -> None:
        self._questions.put(None)


def test_a_store_that_is_away_for_a_while_ends_no_stream(
    grpc_client: GrpcClient, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = grpc_client.issue()
    grpc_client.validate("x")  # so that the caller's key is in memory
    talk = Conversation(grpc_client)
    assert talk.ask(question("x")).verdict.code == "MALFORMED"
    with monkeypatch.context() as patch:
        patch.setattr(type(deployment.services.keys), "find", unavailable)
        answer = talk.ask(question(made.key))
    assert (answer.error.code, answer.error.retry_after_seconds) == ("UNAVAILABLE", 1)
    assert talk.ask(question(made.key)).verdict.valid
    talk.end()


def test_a_stream_of_a_caller_without_the_scope_ends(grpc_client: GrpcClient) -> None:
    poor = grpc_client.issue(scopes=["ml:infer"])
    with pytest.raises(grpc.RpcError) as caught:
        list(stream(grpc_client, [question("x")], by=poor.key))
    refused = refusal_of(caught.value)
    assert (refused.status, refused.code) == (grpc.StatusCode.PERMISSION_DENIED, "INSUFFICIENT_SCOPE")


def test_a_caller_that_is_revoked_meanwhile_is_refused_in_mid_stream(grpc_client: GrpcClient) -> None:
    caller = grpc_client.issue(scopes=["keys:validate"])
    talk = Conversation(grpc_client, caller.key)
    assert talk.ask(question("x")).verdict.code == "MALFORMED"
    grpc_client.call("revoke_key", key_id=caller.record.key_id)
    grpc_client.deployment.wait(PAUSE_SECONDS)
    with pytest.raises(grpc.RpcError) as caught:
        talk.ask(question("x"))
    assert refusal_of(caught.value).code == "REVOKED"
