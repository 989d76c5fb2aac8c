"""Errors as application/problem+json (RFC 9457) with the HTTP status of their kind."""

import json
from collections.abc import Mapping

from keyrail.domain.errors import InvalidArgument, KeyrailError, RateLimited, Unavailable
from keyrail.triggers.http_messages import HttpReply

STATUS_OF_KIND: Mapping[str, int] = {
    "INVALID_ARGUMENT": 422,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 412,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "INTERNAL": 500,
}
TITLES: Mapping[int, str] = {
    200: "OK",
    201: "Created",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
# codes about the HTTP message itself, told before an operation is asked; docs/openapi.yaml lists them for each
MESSAGE_CODES: Mapping[str, int] = {
    "MALFORMED_JSON": 400,
    "MALFORMED_REQUEST": 400,
    "KEY_IN_URL": 400,
    "NO_SUCH_ROUTE": 404,
    "METHOD_NOT_ALLOWED": 405,
    "BODY_TOO_SLOW": 408,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
}
# codes that any operation may answer
COMMON_CODES: Mapping[str, int] = {
    "INVALID_FIELD": 422,
    "INVALID_ARGUMENT": 422,
    "MISSING": 401,
    "MALFORMED": 401,
    "NOT_FOUND": 401,
    "DISABLED": 401,
    "REVOKED": 401,
    "EXPIRED": 401,
    "NOT_YET_VALID": 401,
    "ROTATED_OUT": 401,
    "CONTEXT_DENIED": 403,
    "INSUFFICIENT_SCOPE": 403,
    "RATE_LIMITED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "INTERNAL": 500,
}
OPERATION_CODES: Mapping[str, int] = {
    "ESCALATION": 403,
    "OTHER_TENANT": 403,
    "LIFETIME_TOO_LONG": 403,
    "UNKNOWN_ROLE": 422,
    "BAD_CURSOR": 422,
    "BAD_EVENT": 422,
    "BAD_SINK": 422,
    "NOT_IMPORTABLE": 422,
    "VALUE_TOO_LARGE": 422,
    "INVALID_VALUE": 422,
    "BAD_SCHEMA": 422,
    "SCHEMA_UNSUPPORTED": 422,
    "BAD_ROTATION": 422,
    "NEWEST_VERSION": 422,
    "CONFIGS_NEED_VAULT": 422,
    "KEY_NOT_FOUND": 404,
    "CONFIG_NOT_FOUND": 404,
    "CONFIG_EXISTS": 409,
    "KEY_NOT_LIVE": 409,
    "ROTATION_IN_PROGRESS": 409,
    "IDEMPOTENCY_CONFLICT": 409,
    "ALREADY_IMPORTED": 409,
    "CONCURRENT_CHANGE": 409,
    "ETAG_MISMATCH": 412,
    "TOKEN_REFUSED": 401,
    "DELIVERY_FAILED": 503,
    "ROTATOR_FAILED": 503,
}


def status_of(error: KeyrailError) -> int:
    return MESSAGE_CODES.get(error.code) or STATUS_OF_KIND[error.kind]


def problem_body(error: KeyrailError, status: int, correlation_id: str) -> bytes:
    problem: dict[str, object] = {
        "type": f"urn:keyrail:problem:{error.code.lower().replace('_', '-')}",
        "title": TITLES[status],
        "status": status,
        "detail": error.public,
        "code": str(error.code),
        "correlation_id": correlation_id,
    }
    if isinstance(error, InvalidArgument) and error.fields:
        problem["errors"] = list(error.fields)
    return json.dumps(problem).encode()


def problem_headers(error: KeyrailError, status: int) -> dict[str, str]:
    """Retry-After (RFC 9110 section 10.2.3) and WWW-Authenticate (RFC 6750 section 3) where they belong."""
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    if isinstance(error, RateLimited | Unavailable):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if status == 401:
        reason = "" if error.code == "MISSING" else ', error="invalid_token"'
        headers["WWW-Authenticate"] = f'Bearer realm="keyrail"{reason}'
    if status == 403 and error.code == "INSUFFICIENT_SCOPE":
        headers["WWW-Authenticate"] = 'Bearer realm="keyrail", error="insufficient_scope"'
    return headers


def problem_reply(error: KeyrailError, correlation_id: str, headers: dict[str, str]) -> HttpReply:
    status = status_of(error)
    headers = headers | problem_headers(error, status) | {"X-Correlation-ID": correlation_id}
    return HttpReply(status, problem_body(error, status, correlation_id), headers)
