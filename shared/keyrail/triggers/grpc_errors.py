"""Errors as gRPC tells them: the canonical status of their kind, and google.rpc's details (https://aip.dev/193)."""

from typing import Any, NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2

from keyrail.domain.errors import InvalidArgument, KeyrailError, RateLimited, Unavailable

DOMAIN = "keyrail"
DETAILS = "grpc-status-details-bin"
Metadata = tuple[tuple[str, str | bytes], ...]


def abort(context: grpc.ServicerContext, error: KeyrailError, metadata: Metadata, correlation_id: str) -> NoReturn:
    """Ends the call; grpc raises to do so."""
    code = grpc.StatusCode[error.kind]
    details = status_of(error, correlation_id).SerializeToString()
    context.set_trailing_metadata((*metadata, (DETAILS, details)))
    context.abort(code, error.public)
    raise AssertionError("abort returned")  # for type checkers: it never does


def status_of(error: KeyrailError, correlation_id: str) -> status_pb2.Status:
    status = status_pb2.Status(code=number_of(error), message=error.public)
    facts = {"correlation_id": correlation_id}
    _add(status, error_details_pb2.ErrorInfo(reason=str(error.code), domain=DOMAIN, metadata=facts))
    if isinstance(error, RateLimited | Unavailable):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(error.retry_after_seconds)
        _add(status, retry)
    if isinstance(error, InvalidArgument) and error.fields:
        wrong = error_details_pb2.BadRequest()
        for each in error.fields:
            wrong.field_violations.add(field=each["field"], description=each["problem"])
        _add(status, wrong)
    return status


def number_of(error: KeyrailError) -> int:
    """Of its canonical status; none of them is 0, which is OK."""
    number, _ = grpc.StatusCode[error.kind].value
    return int(number)


def _add(status: status_pb2.Status, detail: Any) -> None:
    status.details.add().Pack(detail)
