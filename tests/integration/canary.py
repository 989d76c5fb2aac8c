"""Every secret that a run brought into the world, and a look for each of them wherever text comes out."""

import re
from collections.abc import Iterable

from keyrail.domain.key_format import SECRET_CHARS

_LONG_BASE62 = re.compile(rf"[0-9A-Za-z]{{{SECRET_CHARS},}}")
_HEX = re.compile(r"[0-9a-f]*|[0-9A-F]*")  # of a digest: no secret of 32 random base62 characters looks like one
_VAULT_TOKEN = re.compile(r"\b(?:hv[sbr]|[sbr])\.[0-9A-Za-z_-]{20,}")


class Canary:
    """Keys are told by `knows_key`; peppers, secret ids and Vault tokens by `knows`."""

    def __init__(self) -> None:
        self.hits: set[str] = set()
        self.searched_chars = 0
        self._key_secrets: set[str] = set()
        self._others: dict[str, str] = {}

    @property
    def known(self) -> int:
        return len(self._key_secrets) + len(self._others)

    def knows_key(self, key: str) -> None:
        self._key_secrets.add(key.rsplit("_", 1)[1][:SECRET_CHARS])

    def knows(self, what: str, secret: str) -> None:
        self._others[secret] = what

    def search(self, where: str, text: str, but_for: Iterable[str] = ()) -> None:
        """What is found goes to `hits`, by kind and place. `but_for`: what this text holds by right."""
        self.searched_chars += len(text)
        for allowed in but_for:
            text = text.replace(allowed, "")
        self.hits |= {f"{what} in {where}" for what in self._found(text)}

    def _found(self, text: str) -> Iterable[str]:
        for run in {run for run in _LONG_BASE62.findall(text) if not _HEX.fullmatch(run)}:
            starts = range(len(run) - SECRET_CHARS + 1)
            if any(run[start : start + SECRET_CHARS] in self._key_secrets for start in starts):
                yield "a key"
        if _VAULT_TOKEN.search(text):
            yield "something like a Vault token"
        for secret, what in self._others.items():
            if secret in text:
                yield what
