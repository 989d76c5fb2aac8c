"""What is stored of a key: HMAC-SHA256(pepper, key without its checksum), as 64 hex characters.

A plain hash would do for 190 random bits; the pepper means that a stolen copy of the records alone can't even
confirm a guess, and gives a way to end every key at once. Peppers are versioned; a digest names its version.
"""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

DigestScheme = Literal["key", "sha256"]  # what is digested: a key of ours, or the SHA-256 (hex) of an imported one
PEPPER_BYTES = 32  # the digest's own width; longer adds nothing (RFC 2104 section 3)
_BLOCK_BYTES = 64  # of SHA-256


@dataclass(frozen=True, slots=True)
class Peppers:
    """Every pepper still in use, by version. New digests use `current`."""

    current: int
    by_version: dict[int, bytes] = field(repr=False)
    _keyed: dict[int, "_KeyedHash"] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keyed = {version: _KeyedHash(pepper) for version, pepper in self.by_version.items()}
        object.__setattr__(self, "_keyed", keyed)

    def digest(self, body: bytes, version: int) -> str:
        """Raises: KeyError where this version is not (or not yet) known here."""
        return self._keyed[version].hexdigest(body)

    def knows(self, version: int) -> bool:
        return version in self.by_version

    def current_digest(self, body: bytes) -> str:
        return self.digest(body, self.current)


class _KeyedHash:
    """HMAC-SHA256 as RFC 2104 section 4 advises: both hashes begun with the key, once. A fifth of the time of
    hmac.digest, which looks its algorithm up anew for each call."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= _BLOCK_BYTES else sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
        self._inner, self._outer = (sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))

    def hexdigest(self, body: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(body)
        outer.update(inner.digest())
        return outer.hexdigest()


def same_digest(left: str, right: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(left, right)


def fingerprint(*parts: str) -> str:
    """An unkeyed SHA-256 of `parts` as hex, for things that are no secrets; no part can run into the next."""
    netstrings = "".join(f"{len(part)}:{part}," for part in parts)
    return sha256(netstrings.encode(errors="surrogatepass")).hexdigest()  # JSON can carry a lone surrogate
