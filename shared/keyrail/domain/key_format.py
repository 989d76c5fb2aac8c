"""The shape of a key: `<prefix>_<environment>_<key id: 16>_<secret: 32><checksum: 6>`, all base62.

The checksum is CRC-32 of everything before it, as in GitHub's tokens
(https://github.blog/engineering/behind-githubs-new-authentication-token-formats/): it finds typos and
forgeries without asking a store, and is no security.

A deployment may also accept keys that were made elsewhere and imported, by their prefixes: 20 to 256 characters of
[A-Za-z0-9._-]. They name no key id, so theirs is derived from their SHA-256: presented -> SHA-256 -> key id.
"""

import re
import secrets
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from zlib import crc32

from keyrail.domain.digest import DigestScheme, fingerprint
from keyrail.domain.errors import MalformedKey

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in BASE62 for low in BASE62]  # 62 * 62
KEY_ID_CHARS = 16  # 95 bits: ids never collide, and say nothing
SECRET_CHARS = 32  # 190 bits
CHECKSUM_CHARS = 6  # 62**6 > 2**32

KEY_ID = re.compile(rf"[0-9A-Za-z]{{{KEY_ID_CHARS}}}")
IMPORTED_PREFIX = re.compile(r"[0-9A-Za-z._-]{2,16}")
IMPORTED_CHARS = range(20, 257)  # how many an imported key may have
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
    """A well-formed key. `body` is what is digested: the whole key without its checksum; of an imported one, its
    SHA-256. Never log it."""

    key_id: str
    body: bytes
    digest_scheme: DigestScheme = "key"

    def __repr__(self) -> str:
        return f"PresentedKey(key_id={self.key_id!r})"


@dataclass(frozen=True)
class KeyFormat:
    """The keys of one deployment: those with its prefix and its environment, and imported ones with one of
    `imported_prefixes`."""

    prefix: str = "krl"
    environment: str = "live"
    imported_prefixes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for label in (self.prefix, self.environment):
            if not LABEL.fullmatch(label):
                raise ValueError(f"prefix and environment must match {LABEL.pattern}")
        own = f"{self.prefix}_{self.environment}_"
        for prefix in self.imported_prefixes:
            if not IMPORTED_PREFIX.fullmatch(prefix):
                raise ValueError(f"prefixes of imported keys must match {IMPORTED_PREFIX.pattern}")
            if own.startswith(prefix) or prefix.startswith(own):
                raise ValueError("prefixes of imported keys must not be those of our own")

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
        if match is None and self.is_imported(text):
            return _imported(text)
        if match is None:
            raise MalformedKey(f"This is not a key of the form {self.prefix}_{self.environment}_...")
        body = match[1].encode("ascii")
        if checksum(body) != match[3]:
            raise MalformedKey("The key's checksum does not match: it was mistyped or cut.")
        return PresentedKey(match[2], body)

    def is_imported(self, text: str) -> bool:
        """The shape of an imported key; what looks like a key of ours, of any deployment, never has it."""
        return self._imported_pattern.fullmatch(text) is not None and ANY_KEY.fullmatch(text) is None

    @cached_property
    def _imported_pattern(self) -> re.Pattern[str]:
        return imported_keys_pattern(self.imported_prefixes)

    def assemble(self, key_id: str, secret: str) -> str:
        """The whole key, to be shown once."""
        body = f"{self.prefix}_{self.environment}_{key_id}_{secret}"
        return body + checksum(body.encode("ascii"))


def imported_keys_pattern(prefixes: tuple[str, ...]) -> re.Pattern[str]:
    """Matches every imported key with one of `prefixes`, and nothing where there are none."""
    least, most = IMPORTED_CHARS[0], IMPORTED_CHARS[-1]
    forms = (rf"{re.escape(prefix)}[0-9A-Za-z._-]{{{least - len(prefix)},{most - len(prefix)}}}" for prefix in prefixes)
    return re.compile("|".join(forms) or r"(?!)")


def may_be_imported(text: str) -> bool:
    """Some deployment could accept it, by its prefix."""
    return (
        len(text) in IMPORTED_CHARS
        and re.fullmatch(r"[0-9A-Za-z._-]+", text) is not None
        and ANY_KEY.fullmatch(text) is None
    )


def hash_of_imported(text: str) -> str:
    """SHA-256 as 64 hex characters: what is known of a key where only its hash is imported."""
    return sha256(text.encode()).hexdigest()


def imported_key_id(key_hash: str) -> str:
    """Always the same for the same key, so that importing it twice makes one record, and finding it takes no index."""
    return base62(int(fingerprint("imported key", key_hash), 16), KEY_ID_CHARS)


def _imported(text: str) -> PresentedKey:
    key_hash = hash_of_imported(text)
    return PresentedKey(imported_key_id(key_hash), key_hash.encode(), "sha256")


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
