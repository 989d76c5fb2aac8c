"""The shape of a key: `<prefix>_<environment>_<key id: 16>_<secret: 32><checksum: 6>`, all base62.

The checksum is CRC-32 of everything before it, as in GitHub's tokens
(https://github.blog/engineering/behind-githubs-new-authentication-token-formats/): it finds typos and
forgeries without asking a store, and is no security.
"""

import re
import secrets
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

from keyrail.domain.errors import MalformedKey

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in BASE62 for low in BASE62]  # 62 * 62
KEY_ID_CHARS = 16  # 95 bits: ids never collide, and say nothing
SECRET_CHARS = 32  # 190 bits
CHECKSUM_CHARS = 6  # 62**6 > 2**32

KEY_ID = re.compile(rf"[0-9A-Za-z]{{{KEY_ID_CHARS}}}")
LABEL = re.compile(r"[a-z][a-z0-9]{0,11}")  # a prefix or an environment
ANY_KEY = re.compile(  # a key of any deployment anywhere in a text; SECURITY.md gives it to secret scanners
    rf"[a-z][a-z0-9]{{0,11}}_[a-z][a-z0-9]{{0,11}}_[0-9A-Za-z]{{{KEY_ID_CHARS}}}"
    rf"_[0-9A-Za-z]{{{SECRET_CHARS + CHECKSUM_CHARS}}}"
)
ANY_SECRET = re.compile(  # what of a key must reach no text that is kept
    # Its labels are not asked for: they may be glued to other letters. Nor is its checksum: it follows from the rest.
    rf"_[0-9A-Za-z]{{{KEY_ID_CHARS}}}_[0-9A-Za-z]{{{SECRET_CHARS},{SECRET_CHARS + CHECKSUM_CHARS}}}"
)


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A well-formed key. `body` is the whole key without its checksum: what is digested. Never log it."""

    key_id: str
    body: bytes

    def __repr__(self) -> str:
        return f"PresentedKey(key_id={self.key_id!r})"


@dataclass(frozen=True)
class KeyFormat:
    """The keys of one deployment: those with its prefix and its environment."""

    prefix: str = "krl"
    environment: str = "live"

    def __post_init__(self) -> None:
        for label in (self.prefix, self.environment):
            if not LABEL.fullmatch(label):
                raise ValueError(f"prefix and environment must match {LABEL.pattern}")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(
            rf"({self.prefix}_{self.environment}_([0-9A-Za-z]{{{KEY_ID_CHARS}}})"
            rf"_[0-9A-Za-z]{{{SECRET_CHARS}}})([0-9A-Za-z]{{{CHECKSUM_CHARS}}})"
        )

    def parse(self, text: str) -> PresentedKey:
        """The parts of a presented key; no store is asked.

        Raises: MalformedKey on a wrong shape, prefix, environment or checksum; it never holds `text`.
        """
        match = self._pattern.fullmatch(text)
        if match is None:
            raise MalformedKey(f"This is not a key of the form {self.prefix}_{self.environment}_...")
        body = match[1].encode("ascii")
        if checksum(body) != match[3]:
            raise MalformedKey("The key's checksum does not match: it was mistyped or cut.")
        return PresentedKey(match[2], body)

    def assemble(self, key_id: str, secret: str) -> str:
        """The whole key, to be shown once."""
        body = f"{self.prefix}_{self.environment}_{key_id}_{secret}"
        return body + checksum(body.encode("ascii"))


def checksum(body: bytes) -> str:
    """CRC-32 in base62, zero-padded to CHECKSUM_CHARS; two digits at a time, since it is part of every validation."""
    number, low = divmod(crc32(body), 3844)
    high, middle = divmod(number, 3844)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def base62(number: int, width: int) -> str:
    """`number` in base62, zero-padded to `width`; higher digits are cut."""
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def new_key_id() -> str:
    return _random_base62(KEY_ID_CHARS)


def new_secret() -> str:
    return _random_base62(SECRET_CHARS)


def _random_base62(length: int) -> str:
    """From the operating system's CSPRNG: the one thing in this layer that differs between two calls."""
    return "".join(secrets.choice(BASE62) for _ in range(length))
