"""The types that request models are made of: strict, bounded, and closed to secrets.

Strict means: no int for a string, no string for an int, no naive datetime, no unknown field. A text that holds
something of the shape of a key is refused wherever text is kept, since it would end up in logs and listings.
"""

import ipaddress
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from keyrail.domain import texts
from keyrail.domain.key_format import KEY_ID
from keyrail.domain.scopes import MAX_EXPRESSION_CHARS, MAX_SCOPE_CHARS, SCOPE_PATTERN

MAX_METADATA_BYTES = 4096  # as JSON; a record stays far below Vault's 1 MiB a value
MAX_SECONDS = 10 * 365 * 24 * 3600
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Reply(BaseModel):
    """A field that is not set is left out of the JSON."""

    model_config = ConfigDict(frozen=True)


def _timestamp(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("must be an RFC 3339 timestamp with an offset, like 2030-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(value.upper().replace("Z", "+00:00")).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is no time that there is, or out of range") from error


def _bounded_metadata(value: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(value)
    if len(text) > MAX_METADATA_BYTES:
        raise ValueError(f"has more than {MAX_METADATA_BYTES} bytes as JSON")
    texts.no_key(text)
    return value


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:  # its text repeats the value, which may be anything, even a key
        raise ValueError("must be an IPv4 or IPv6 network without host bits, like 10.0.0.0/8") from None


def _expression(text: str) -> str:
    texts.expression(text)
    return text


Timestamp = Annotated[datetime, BeforeValidator(_timestamp)]
KeyId = Annotated[str, StringConstraints(pattern=rf"^{KEY_ID.pattern}$")]
Tenant = Annotated[str, StringConstraints(pattern=rf"^{texts.TENANT}$")]
Text = Annotated[str, StringConstraints(pattern=rf"^[^{texts.CONTROL}]{{1,200}}$"), AfterValidator(texts.no_key)]
Owner = Annotated[str, StringConstraints(pattern=rf"^{texts.OWNER}$"), AfterValidator(texts.no_key)]
Scope = Annotated[str, StringConstraints(pattern=rf"^(?:{SCOPE_PATTERN})$", max_length=MAX_SCOPE_CHARS)]
ScopeExpression = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_EXPRESSION_CHARS), AfterValidator(_expression)
]
RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/-]{0,62}$")]
Labels = Annotated[dict[LabelName, Text], Field(max_length=32)]
Metadata = Annotated[dict[str, Any], AfterValidator(_bounded_metadata)]
Cidr = Annotated[str, StringConstraints(max_length=64), AfterValidator(_cidr)]
Ip = Annotated[str, StringConstraints(max_length=texts.MAX_IP_CHARS), AfterValidator(texts.ip)]
Seconds = Annotated[int, Field(ge=1, le=MAX_SECONDS)]
IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}$"), AfterValidator(texts.no_key)]
