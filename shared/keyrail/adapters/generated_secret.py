"""Rotates to a new random secret. docs/rotation-kinds.md "generated" """

import math
import secrets
import string
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.fields import Request
from keyrail.rotation_ports import CredentialRotation

ALPHABETS = {
    "base62": string.digits + string.ascii_letters,
    "hex": "0123456789abcdef",
    "ascii": "".join(chr(code) for code in range(33, 127)),  # all that can be seen, without the space
}
MIN_BITS = 64  # 16 hexadecimal digits
MIN_CHARACTERS = 2


class _Settings(Request):
    field: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    length: int = Field(default=32, ge=16, le=256)
    alphabet: str = Field(default="base62", min_length=MIN_CHARACTERS, max_length=256)


class GeneratedSecret:
    """From the operating system's CSPRNG. Without a `field` the secret is the whole value."""

    has_effects = False

    def checked(self, settings: Mapping[str, Any], tenant: str, *, is_system: bool) -> dict[str, Any]:
        try:
            given = _Settings.model_validate(dict(settings))
        except ValidationError:  # its text may hold what was given
            text = "A generated secret takes field, length (16 to 256) and alphabet (base62, hex, ascii or characters)."
            raise InvalidArgument(text, code="BAD_ROTATION") from None
        letters = _letters(given.alphabet)
        if not letters.isprintable() or len(set(letters)) != len(letters):
            text = "An alphabet is printable characters, each of them once."
            raise InvalidArgument(text, code="BAD_ROTATION")
        if given.length * math.log2(len(letters)) < MIN_BITS:
            text = f"Secrets of this length and alphabet have less than {MIN_BITS} bits."
            raise InvalidArgument(text, code="BAD_ROTATION")
        return given.model_dump(exclude_none=True)

    def mark(self, asked: CredentialRotation) -> str | None:
        return None

    def rotate(self, asked: CredentialRotation) -> Any:
        letters = _letters(asked.settings["alphabet"])
        secret = "".join(secrets.choice(letters) for _ in range(asked.settings["length"]))
        field = asked.settings.get("field")
        if field is None:
            return secret
        if not isinstance(asked.value, dict):
            raise InvalidArgument("A rotation with a field needs a value that is an object.", code="BAD_ROTATION")
        return {**asked.value, field: secret}

    def live(self, value: Any, settings: Mapping[str, Any]) -> Any:
        return value


def _letters(alphabet: str) -> str:
    return ALPHABETS.get(alphabet, alphabet)
