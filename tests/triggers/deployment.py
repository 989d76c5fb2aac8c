"""All functions over one memory store, called through functions-framework as a client would, at a clock that
tests move. Every call comes PAUSE_SECONDS after the one before, so that a change is seen by the next call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from werkzeug.test import TestResponse

from first_admin import make_admin
from keyrail.domain.errors import Unavailable
from keyrail.operations.catalogue import CATALOGUE
from keyrail.ports import Services

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
PAUSE_SECONDS = 2.0  # more than the feed's poll
SETTINGS = {
    "KEYRAIL_STORE": "memory",
    "KEYRAIL_FEED_POLL": "inline",
    "KEYRAIL_LOG_LEVEL": "INFO",
    "KEYRAIL_IMPORTED_PREFIXES": "sk-,pk_",
}
OPERATIONS = {operation.name: operation for operation in CATALOGUE}
ADMIN = "the admin's key"
CONFIG = "models/openai"
UNKNOWN_ID = "0Keyrail0Nobody0"


class Client(Protocol):
    """werkzeug's, or one that takes and gives the same."""

    def open(self, **message: Any) -> TestResponse: ...

    def post(self, path: str, **message: Any) -> TestResponse: ...


class MovedClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def elapsed_seconds(self) -> float:
        return self.seconds


@dataclass(frozen=True)
class Issued:
    key: str = field(repr=False)
    key_id: str


@dataclass
class Deployment:
    services: Services
    clock: MovedClock
    client_of: Callable[[str], Client]
    admin: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self.admin = make_admin(self.services)

    def call(
        self,
        operation: str,
        body: object = None,
        *,
        key_id: str = UNKNOWN_ID,
        by: str | None = ADMIN,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | str = "",
        **sent: Any,
    ) -> TestResponse:
        """`by` is the caller's key, None for none; `sent` replaces parts of the message as werkzeug's client names
        them, e.g. data=b"...", method="PUT"."""
        self.clock.seconds += PAUSE_SECONDS
        offered = OPERATIONS[operation]
        message: dict[str, Any] = {
            "path": offered.path.replace("{key_id}", key_id).replace("{name}", CONFIG),
            "method": offered.method,
            "query_string": query,
            "headers": {**_bearer(self.admin if by == ADMIN else by), **(headers or {})},
        }
        if offered.method != "GET" and not {"data", "input_stream"} & sent.keys():
            message["json"] = {} if body is None else body
        return self.client_of(operation).open(**(message | sent))

    def issue(self, **fields: Any) -> Issued:
        """By the admin, for tenant acme unless told otherwise."""
        reply = self.call("issue_key", {"tenant": "acme", "owner": "ml-team", "name": "a key"} | fields)
        assert reply.status_code == 201, reply.json
        return Issued(reply.json["key"], reply.json["key_id"])

    def validate(self, key: str, **fields: Any) -> dict[str, Any]:
        reply = self.call("validate_key", {"key": key} | fields)
        assert reply.status_code == 200, reply.json
        return dict(reply.json)

    def code_of(self, key: str, **fields: Any) -> str:
        return str(self.validate(key, **fields)["code"])

    def do(self, operation: str, key_id: str, body: object = None, **more: Any) -> dict[str, Any]:
        """By the admin, and it must succeed."""
        reply = self.call(operation, body, key_id=key_id, **more)
        assert reply.status_code == 200, reply.json
        return dict(reply.json)

    def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def records(self) -> dict[str, Any]:
        """What the store holds, to see that a refused request wrote nothing."""
        keys: Any = self.services.keys
        ids = [key_id for tenant in sorted(keys._index) for key_id in sorted(keys._index[tenant])]
        return {key_id: keys.find(key_id) for key_id in ids} | {"feed": self.services.feed.head()}


def unavailable(*_: object, **__: object) -> Any:
    raise Unavailable("the store is down")


def _bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}
