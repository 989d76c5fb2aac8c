"""Validation by gRPC: one key, a batch, a stream. Written by hand, since it is called for every request there is."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.unknown_fields import UnknownFieldSet

from keyrail.domain.decisions import Decision
from keyrail.domain.errors import InvalidArgument, KeyrailError, RateLimited, Unavailable
from keyrail.judging import MAX_BATCH, Judged, Question, Questions, times_told, told
from keyrail.operations.validate_key import ValidateRequest, questions_of
from keyrail.triggers.dispatch import Outcome
from keyrail.triggers.grpc_answers import Answers
from keyrail.triggers.grpc_calls import Head, Serving, Unary
from keyrail.triggers.grpc_errors import abort
from keyrail.triggers.grpc_messages import decoded, fields_of, put_struct, put_time, unknown_field
from keyrail.triggers.questions import JUDGING, question_of
from keyrail.triggers.request_models import as_request
from keyrail.v1 import keys_pb2

_ENDING = ("UNAUTHENTICATED", "PERMISSION_DENIED")  # they are about the caller, and the next message has the same one
_MAX_ID_CHARS = 64


def rpcs(serving: Serving, service: str) -> dict[str, "grpc.RpcMethodHandler[Any, Any]"]:
    one = ValidateOne(serving, f"{service}/ValidateKey")
    batch = Unary(JUDGING, _parsed_batch, _encoded_batch, serving, f"{service}/BatchValidate")
    stream: Any = ValidateStream(serving, f"{service}/ValidateStream")
    return {
        "ValidateKey": grpc.unary_unary_rpc_method_handler(one),
        "BatchValidate": grpc.unary_unary_rpc_method_handler(batch),
        "ValidateStream": grpc.stream_stream_rpc_method_handler(stream),
    }


class ValidateOne:
    def __init__(self, serving: Serving, rpc: str) -> None:
        self._serving, self._rpc = serving, rpc
        self._answers = Answers(serving.services, _encoded)

    def __call__(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        head = Head(context, self._serving, self._rpc)
        told = self._answers.ask(head, data, lambda: _parsed(data))
        if told.outcome.error is not None:
            abort(context, told.outcome.error, told.metadata, head.correlation_id)
        context.set_trailing_metadata(told.metadata)
        return _encoded(told.outcome.reply) if told.reply is None else told.reply


def _parsed(data: bytes) -> Questions:
    message = decoded(keys_pb2.ValidateKeyRequest, data)
    tenant = _text(message, "tenant")
    return Questions([_question(message, tenant)], tenant, is_batch=False)


def _parsed_batch(data: bytes) -> Questions:
    """What is wrong in it is told by the model, which knows where it stands."""
    message = decoded(keys_pb2.BatchValidateRequest, data)
    tenant = _text(message, "tenant")
    try:
        asked = [_question(each, tenant) for each in message.batch]
    except InvalidArgument:
        asked = []
    if 0 < len(asked) <= MAX_BATCH:
        return Questions(asked, tenant, is_batch=True)
    payload: dict[str, Any] = {"batch": [{"key": "", **fields_of(each)} for each in message.batch]}
    request: Any = as_request(ValidateRequest, payload if tenant is None else payload | {"tenant": tenant})
    return questions_of(request)


def _encoded(judged: Judged) -> bytes:
    data: bytes = _response(judged.decisions[0]).SerializeToString()
    return data


def _encoded_batch(judged: Judged) -> bytes:
    response = keys_pb2.BatchValidateResponse(valid=judged.valid, code=judged.code)
    for decision in judged.decisions:
        _response(decision, response.results.add)
    return response.SerializeToString()


class ValidateStream:
    """Each message is a call of its own, for traces too."""

    def __init__(self, serving: Serving, rpc: str) -> None:
        self._serving, self._rpc = serving, rpc

    def __call__(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        head = Head(context, self._serving, self._rpc)
        context.set_trailing_metadata((("x-correlation-id", head.correlation_id),))
        for data in self._serving.streams.limited(requests, context):
            question = _Question(data)
            head.restart(self._serving.limits.seconds)
            outcome = head.ask(JUDGING, question.parse, self._serving.services, replies_with_errors=True)
            if outcome.error is not None and outcome.error.kind in _ENDING:
                abort(context, outcome.error, head.metadata(outcome), head.correlation_id)
            yield question.answer(outcome)


class _Question:
    """One message of a stream, whatever it holds."""

    def __init__(self, data: bytes) -> None:
        self.id = ""
        self._message: Any = None
        self._fault: InvalidArgument | None = None
        try:
            self._message = decoded(keys_pb2.ValidateStreamRequest, data)
            self.id = self._message.id[:_MAX_ID_CHARS]
        except InvalidArgument as error:
            self._fault = error

    def parse(self) -> Questions:
        if self._fault is not None:
            raise self._fault
        if len(self._message.id) > _MAX_ID_CHARS:
            told = ({"field": "id", "problem": f"has more than {_MAX_ID_CHARS} characters"},)
            raise InvalidArgument("Some fields are wrong; see errors.", code="INVALID_FIELD", fields=told)
        tenant = _text(self._message, "tenant")
        return Questions([_question(self._message.presented, tenant)], tenant, is_batch=False)

    def answer(self, outcome: Outcome) -> bytes:
        judged: Any = outcome.reply
        if outcome.error is None:
            response = keys_pb2.ValidateStreamResponse(id=self.id, verdict=_response(judged.decisions[0]))
        else:
            response = keys_pb2.ValidateStreamResponse(id=self.id)
            _put_error(response.error, outcome.error)
        return response.SerializeToString()


def _question(presented: Any, tenant: str | None) -> Question:
    """Raises: InvalidArgument."""
    if len(UnknownFieldSet(presented)):
        raise unknown_field()
    asked = _text(presented, "required_scopes"), _text(presented, "ip"), _text(presented, "audience")
    return question_of(presented.key, *asked, tenant)


def _text(message: Any, name: str) -> str | None:
    """None where it is not set, which is something else than set and empty."""
    value: str = getattr(message, name)
    return value if value or message.HasField(name) else None


def _response(decision: Decision, new: Callable[..., Any] = keys_pb2.ValidateKeyResponse) -> Any:
    """In one call, which takes half of the time of one assignment each; what is None or empty stays unset."""
    fields = told(decision)
    metadata = fields.pop("metadata", None)
    message = new(**fields)
    if metadata:
        put_struct(message.metadata, metadata)
    for name, at in times_told(decision).items():
        if at is not None:
            put_time(getattr(message, name), at)
    return message


def _put_error(message: Any, error: KeyrailError) -> None:
    message.code, message.message = error.code, error.public
    if isinstance(error, RateLimited | Unavailable):
        message.retry_after_seconds = error.retry_after_seconds
