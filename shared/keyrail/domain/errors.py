"""Everything Keyrail raises on purpose.

KeyrailError
├── InvalidArgument      INVALID_ARGUMENT     the request is wrong; sending it again won't help
├── MalformedKey         INVALID_ARGUMENT     a presented key has the wrong shape or checksum
├── Unauthenticated      UNAUTHENTICATED      the caller's own key is missing or refused
├── PermissionDenied     PERMISSION_DENIED    the caller's key lacks a scope or a tenant
├── NotFound             NOT_FOUND            unknown id, another tenant's included
├── Conflict             ABORTED              the record is not in a state that allows this
├── EtagMismatch         FAILED_PRECONDITION  the record changed since it was read
├── RateLimited          RESOURCE_EXHAUSTED   try again after `retry_after_seconds`
├── Unavailable          UNAVAILABLE          the store could not answer; never a "no"
│   ├── Unreadable       UNAVAILABLE          it answered with something that is not ours
│   └── DeliveryFailed   UNAVAILABLE          a sink could not be read or written
│       └── RotatorFailed  UNAVAILABLE        a stored credential could not be made new
├── DeadlineExceeded     DEADLINE_EXCEEDED    the store answered too late
└── Internal             INTERNAL             a defect of ours

`kind` is one of gRPC's canonical names (https://grpc.io/docs/guides/status-codes/); triggers map it to a status.
`code` is stable and machine-readable, `public` goes to the client, `detail` to the log.
None of them may hold a key, a secret or a header's value.
"""

from typing import ClassVar


class KeyrailError(Exception):
    kind: ClassVar[str] = "INTERNAL"
    code: str = "INTERNAL"

    def __init__(self, public: str, *, code: str | None = None, detail: str = "") -> None:
        super().__init__(public)
        self.public = public
        self.detail = detail
        if code is not None:
            self.code = code


class InvalidArgument(KeyrailError):
    """`fields` names what is wrong: [{"field": "scopes.0", "problem": "..."}], never the value itself."""

    kind = "INVALID_ARGUMENT"
    code = "INVALID_ARGUMENT"

    def __init__(self, public: str, *, code: str | None = None, fields: tuple[dict[str, str], ...] = ()) -> None:
        super().__init__(public, code=code)
        self.fields = fields


class MalformedKey(KeyrailError):
    kind = "INVALID_ARGUMENT"
    code = "MALFORMED"


class Unauthenticated(KeyrailError):
    kind = "UNAUTHENTICATED"
    code = "UNAUTHENTICATED"


class PermissionDenied(KeyrailError):
    kind = "PERMISSION_DENIED"
    code = "PERMISSION_DENIED"


class NotFound(KeyrailError):
    kind = "NOT_FOUND"
    code = "NOT_FOUND"


class Conflict(KeyrailError):
    """Codes: KEY_NOT_LIVE, ROTATION_IN_PROGRESS, IDEMPOTENCY_CONFLICT, CONCURRENT_CHANGE."""

    kind = "ABORTED"
    code = "CONFLICT"


class EtagMismatch(KeyrailError):
    kind = "FAILED_PRECONDITION"
    code = "ETAG_MISMATCH"


class RateLimited(KeyrailError):
    kind = "RESOURCE_EXHAUSTED"
    code = "RATE_LIMITED"

    def __init__(self, public: str, *, retry_after_seconds: int) -> None:
        super().__init__(public)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(KeyrailError):
    kind = "UNAVAILABLE"
    code = "UNAVAILABLE"
    told: ClassVar[str] = "The key store can't answer right now. Try again shortly."

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(self.told, detail=detail)
        self.retry_after_seconds = retry_after_seconds


class Unreadable(Unavailable):
    """What is stored there was damaged: asking again won't help, and other keys may be well."""


class DeliveryFailed(Unavailable):
    """A sink can't be read or written."""

    code = "DELIVERY_FAILED"
    told = "The key's sink can't be read or written right now. The next tick tries again."


class RotatorFailed(DeliveryFailed):
    """What a stored credential belongs to can't be reached, or refuses; the store itself is well."""

    code = "ROTATOR_FAILED"
    told = "What this credential belongs to can't make it new right now. The next tick tries again."


class DeadlineExceeded(KeyrailError):
    kind = "DEADLINE_EXCEEDED"
    code = "DEADLINE_EXCEEDED"

    def __init__(self, detail: str) -> None:
        super().__init__("The key store took too long. The outcome is unknown: read before you repeat.", detail=detail)


class Internal(KeyrailError):
    def __init__(self, detail: str) -> None:
        super().__init__("This is a defect in Keyrail. Quote the correlation id when you report it.", detail=detail)
