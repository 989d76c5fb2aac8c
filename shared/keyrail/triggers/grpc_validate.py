"""Validation by gRPC: one key, a batch, a stream. Written by hand, since it is called for every request there is."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import grpc
from google.protobuf.unknown_fields import UnknownFieldSet

from keyrail.domain.decisions import Decision
from keyrail.domain.errors import InvalidArgument, KeyrailError, RateLimited, Unavailable
from keyrail.operations.validate_key import (
    JUDGING,
    MAX_BATCH,
    MAX_KEY_CHARS,
    Judged,
    Question,
    Questions,
    ValidateRequest,
    questions_of,
    told,
)
from keyrail.triggers.dispatch import Outcome
from keyrail.triggers.grpc_calls import Head, Serving, Unary
from keyrail.triggers.grpc_errors import abort
from keyrail.triggers.grpc_messages import decoded, fields_of, put_struct, put_time
from keyrail.triggers.strict_json import as_request
from keyrail.v1 import keys_pb2

_ENDING = ("UNAUTHENTICATED", "PERMISSION_DENIED")  # they are about the caller, and the next message has the same one
_MAX_ID_CHARS = 64
_TIMES = ("expires_at", "sunset_at", "deprecated_at")


def rpcs(serving: Serving, service: str) -> dict[str, "grpc.RpcMethodHandler[Any, Any]"]:
    one = Unary(JUDGING, _parsed, _encoded, serving, f"{service}/ValidateKey")
    batch = Unary(JUDGING, _parsed_batch, _encoded_batch, serving, f"{service}/BatchValidate")
    stream: Any = ValidateStream(serving, f"{service}/ValidateStream")
    return {
        "ValidateKey": grpc.unary_unary_rpc_method_handler(one),
        "BatchValidate": grpc.unary_unary_rpc_method_handler(batch),
        "ValidateStream": grpc.stream_stream_rpc_method_handler(stream),
    }


def _parsed(data: bytes) -> Questions:
    message = decoded(keys_pb2.ValidateKeyRequest, data)
    return _asked(message, _text(message, "tenant"))


def _parsed_batch(data: bytes) -> Questions:
    message = decoded(keys_pb2.BatchValidateRequest, data)
    tenant = _text(message, "tenant")
    if 0 < len(message.batch) <= MAX_BATCH:
        asked = [question for each in message.batch if (question := _question(each, tenant)) is not None]
        if len(asked) == len(message.batch):
            return Questions(asked, tenant, is_batch=True)
    payload: dict[str, Any] = {"batch": [{"key": "", **fields_of(each)} for each in message.batch]}
    request: Any = as_request(ValidateRequest, payload | ({} if tenant is None else {"tenant": tenant}))
    return questions_of(request)


def _asked(presented: Any, tenant: str | None) -> Questions:
    """One."""
    question = _question(presented, tenant)
    if question is not None:
        return Questions([question], tenant, is_batch=False)
    payload = {"key": "", **fields_of(presented)} | ({} if tenant is None else {"tenant": tenant})
    request: Any = as_request(ValidateRequest, payload)
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
        return _asked(self._message.presented, _text(self._message, "tenant"))

    def answer(self, outcome: Outcome) -> bytes:
        judged: Any = outcome.reply
        if outcome.error is None:
            response = keys_pb2.ValidateStreamResponse(id=self.id, verdict=_response(judged.decisions[0]))
        else:
            response = keys_pb2.ValidateStreamResponse(id=self.id)
            _put_error(response.error, outcome.error)
        return response.SerializeToString()


def _question(presented: Any, tenant: str | None) -> Question | None:
    """None where it is to be refused."""
    key, scopes, ip = presented.key, _text(presented, "required_scopes"), _text(presented, "ip")
    if len(key) > MAX_KEY_CHARS or len(UnknownFieldSet(presented)):
        return None
    try:
        need = _need(scopes, ip, _text(presented, "audience"), tenant)
    except InvalidArgument:
        return None
    return Question(key, need.scopes, need.ip, need.audience)


@lru_cache(maxsize=4096)
def _need(scopes: str | None, ip: str | None, audience: str | None, tenant: str | None) -> Question:
    """Remembered, since the same is asked of many keys; what is wrong is not. Raises: InvalidArgument."""
    given = {"required_scopes": scopes, "ip": ip, "audience": audience, "tenant": tenant}
    payload = {"key": "", **{name: value for name, value in given.items() if value is not None}}
    request: Any = as_request(ValidateRequest, payload)
    return questions_of(request).asked[0]


def _text(message: Any, name: str) -> str | None:
    """None where it is not set, which is something else than set and empty."""
    value: str = getattr(message, name)
    return value if value or message.HasField(name) else None


def _response(decision: Decision, new: Callable[..., Any] = keys_pb2.ValidateKeyResponse) -> Any:
    """In one call, which takes half of the time of one assignment each; what is None or empty stays unset."""
    fields = told(decision)
    metadata, times = fields.pop("metadata", None), [(name, fields.pop(name, None)) for name in _TIMES]
    message = new(**fields)
    if metadata:
        put_struct(message.metadata, metadata)
    for name, at in times:
        if at is not None:
            put_time(getattr(message, name), at)
    return message


def _put_error(message: Any, error: KeyrailError) -> None:
    message.code, message.message = error.code, error.public
    if isinstance(error, RateLimited | Unavailable):
        message.retry_after_seconds = error.retry_after_seconds
