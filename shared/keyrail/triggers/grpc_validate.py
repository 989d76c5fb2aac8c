"""Validation by gRPC: one key, a batch, a stream. Written by hand, since it is called for every request there is."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from keyrail.domain.errors import InvalidArgument, KeyrailError, RateLimited, Unavailable
from keyrail.domain.fields import Request
from keyrail.operations.validate_key import OPERATION, ValidateReply, ValidateRequest, Verdict
from keyrail.triggers.dispatch import Outcome
from keyrail.triggers.grpc_calls import Head, Serving
from keyrail.triggers.grpc_errors import abort
from keyrail.triggers.grpc_messages import decoded, fields_of, put_struct, put_time
from keyrail.triggers.strict_json import as_request
from keyrail.v1 import keys_pb2

_ENDING = ("UNAUTHENTICATED", "PERMISSION_DENIED")  # they are about the caller, and the next message has the same one
_MAX_ID_CHARS = 64


def parse_one(data: bytes) -> Request:
    return _one(decoded(keys_pb2.ValidateKeyRequest, data))


def encode_one(reply: ValidateReply) -> bytes:
    data: bytes = _response(reply).SerializeToString()
    return data


def parse_batch(data: bytes) -> Request:
    message = decoded(keys_pb2.BatchValidateRequest, data)
    payload: dict[str, Any] = {"batch": [{"key": "", **fields_of(each)} for each in message.batch]}
    if message.HasField("tenant"):
        payload["tenant"] = message.tenant
    return as_request(ValidateRequest, payload)


def encode_batch(reply: ValidateReply) -> bytes:
    response = keys_pb2.BatchValidateResponse(valid=reply.valid, code=reply.code)
    for each in reply.results or ():
        _response(each, response.results.add)
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
            outcome = head.ask(OPERATION, question.parse, self._serving.services, replies_with_errors=True)
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

    def parse(self) -> Request:
        if self._fault is not None:
            raise self._fault
        if len(self._message.id) > _MAX_ID_CHARS:
            told = ({"field": "id", "problem": f"has more than {_MAX_ID_CHARS} characters"},)
            raise InvalidArgument("Some fields are wrong; see errors.", code="INVALID_FIELD", fields=told)
        payload = {"key": "", **fields_of(self._message.presented)}
        if self._message.HasField("tenant"):
            payload["tenant"] = self._message.tenant
        return as_request(ValidateRequest, payload)

    def answer(self, outcome: Outcome) -> bytes:
        if outcome.error is None:
            response = keys_pb2.ValidateStreamResponse(id=self.id, verdict=_response(outcome.reply))
        else:
            response = keys_pb2.ValidateStreamResponse(id=self.id)
            _put_error(response.error, outcome.error)
        return response.SerializeToString()


def _one(message: Any) -> Request:
    payload = {field.name: value for field, value in message.ListFields()}
    payload.setdefault("key", "")
    return as_request(ValidateRequest, payload)


def _response(verdict: Verdict | Any, new: Callable[..., Any] = keys_pb2.ValidateKeyResponse) -> Any:
    """In one call, which takes half of the time of one assignment each; what is None stays unset."""
    message = new(
        valid=verdict.valid,
        code=verdict.code,
        key_id=verdict.key_id,
        generation=verdict.generation,
        tenant=verdict.tenant,
        principal=verdict.principal,
        name=verdict.name,
        scopes=verdict.scopes,
        retry_after_seconds=verdict.retry_after_seconds,
    )
    if verdict.labels:
        message.labels.update(verdict.labels)
    if verdict.metadata:
        put_struct(message.metadata, verdict.metadata)
    if verdict.expires_at is not None:
        put_time(message.expires_at, verdict.expires_at)
    if verdict.sunset_at is not None:
        put_time(message.sunset_at, verdict.sunset_at)
    if verdict.deprecated_at is not None:
        put_time(message.deprecated_at, verdict.deprecated_at)
    return message


def _put_error(message: Any, error: KeyrailError) -> None:
    message.code, message.message = error.code, error.public
    if isinstance(error, RateLimited | Unavailable):
        message.retry_after_seconds = error.retry_after_seconds
