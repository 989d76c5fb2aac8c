"""Rotates to a new random secret. docs/rotation-kinds.md "generated" """

import math
import secrets
import string
from collections.abc import Mapping
from typing import Any

from keyrail.domain.errors import InvalidArgument
from keyrail.rotation_ports import CredentialRotation

ALPHABETS = {
    "base62": string.digits + string.ascii_letters,
    "hex": "0123456789abcdef",
    "ascii": "".join(chr(code) for code in range(33, 127)),  # all that can be seen, without the space
}
MIN_BITS = 64  # 16 hexadecimal digits
MIN_CHARACTERS = 2


_DEFAULTS: dict[str, Any] = {"length": 32, "alphabet": "base62"}
_BOUNDS = {
    "field": (1, 128),
    "length": (16, 256),
    "alphabet": (MIN_CHARACTERS, 256),
}  # characters, or the number itself


class GeneratedSecret:
    """From the operating system's CSPRNG. Without a `field` the secret is the whole value."""

    has_effects = False

    def checked(self, settings: Mapping[str, Any], tenant: str, *, is_system: bool) -> dict[str, Any]:
        given = _DEFAULTS | dict(settings)
        if not all(_fits(name, value) for name, value in given.items()):
            text = "A generated secret takes field, length (16 to 256) and alphabet (base62, hex, ascii or characters)."
            raise InvalidArgument(text, code="BAD_ROTATION")
        letters = _letters(given["alphabet"])
        if not letters.isprintable() or len(set(letters)) != len(letters):
            text = "An alphabet is printable characters, each of them once."
            raise InvalidArgument(text, code="BAD_ROTATION")
        if given["length"] * math.log2(len(letters)) < MIN_BITS:
            text = f"Secrets of this length and alphabet have less than {MIN_BITS} bits."
            raise InvalidArgument(text, code="BAD_ROTATION")
        return {name: value for name, value in given.items() if value is not None}

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


def _fits(name: str, value: object) -> bool:
    """Strictly: a text is no number, a bool neither."""
    if name not in _BOUNDS or type(value) is not (int if name == "length" else str):
        return name == "field" and value is None
    least, most = _BOUNDS[name]
    return least <= (value if isinstance(value, int) else len(str(value))) <= most
