"""An operation over HTTP, by the models that describe it."""

from typing import Any

from keyrail.domain.fields import Request
from keyrail.operations.operation import Operation
from keyrail.triggers.http_exchange import HttpOperation
from keyrail.triggers.request_models import as_request

_HEADER_FIELDS = {"idempotency_key": "idempotency-key", "if_match": "if-match"}


class HttpFunction(HttpOperation):
    def __init__(self, operation: Operation) -> None:
        super().__init__(operation)
        self._model = operation.request
        self.header_fields = [
            (name, header) for name, header in _HEADER_FIELDS.items() if name in operation.request.model_fields
        ]
        self._has_etag = "etag" in operation.reply.model_fields
        self._has_http_status = hasattr(operation.reply, "http_status")

    def request_of(self, payload: dict[str, Any], *, from_strings: bool) -> Request:
        return as_request(self._model, payload, from_strings=from_strings)

    def body_of(self, reply: Any) -> bytes:
        text: str = reply.model_dump_json(exclude_none=True)
        return text.encode()

    def status_and_headers_of(self, reply: Any) -> tuple[int, dict[str, str]]:
        """Of what is no more there is no version."""
        status = reply.http_status if self._has_http_status else self.operation.success_status
        return status, {"ETag": reply.etag} if self._has_etag and reply.etag is not None else {}
