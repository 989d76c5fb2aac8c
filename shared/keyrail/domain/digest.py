"""What is stored of a key: HMAC-SHA256(pepper, key without its checksum), as 64 hex characters.

A plain hash would do for 190 random bits; the pepper means that a stolen copy of the records alone can't even
confirm a guess, and gives a way to end every key at once. Peppers are versioned; a digest names its version.
"""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

PEPPER_BYTES = 32  # the digest's own width; longer adds nothing (RFC 2104 section 3)


@dataclass(frozen=True, slots=True)
class Peppers:
    """Every pepper still in use, by version. New digests use `current`."""

    current: int
    by_version: dict[int, bytes] = field(repr=False)

    def digest(self, body: bytes, version: int) -> str:
        """Raises: KeyError where this version is not (or not yet) known here."""
        return hmac.digest(self.by_version[version], body, "sha256").hex()

    def knows(self, version: int) -> bool:
        return version in self.by_version

    def current_digest(self, body: bytes) -> str:
        return self.digest(body, self.current)


def same_digest(left: str, right: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(left, right)


def fingerprint(*parts: str) -> str:
    """An unkeyed SHA-256 of `parts` as hex, for things that are no secrets; no part can run into the next."""
    netstrings = "".join(f"{len(part)}:{part}," for part in parts)
    return sha256(netstrings.encode(errors="surrogatepass")).hexdigest()  # JSON can carry a lone surrogate
