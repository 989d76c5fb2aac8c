"""Which peppers there are, as it is stored: {"current": 1, "versions": {"1": "<value>", ...}}.

A value is the pepper itself, or what leads to it where the pepper is stored nowhere.
"""

import re
import secrets
from dataclasses import dataclass, field, replace
from typing import Any

from keyrail.domain.digest import PEPPER_BYTES, Peppers
from keyrail.domain.errors import InvalidArgument

HEX_PEPPER = re.compile(rf"[0-9a-f]{{{2 * PEPPER_BYTES}}}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class PepperVersions:
    """The values by version; new digests use `current`."""

    current: int
    values: dict[int, str] = field(repr=False)

    @property
    def next_version(self) -> int:
        return max(self.values) + 1

    def with_next(self, value: str) -> "PepperVersions":
        """A version more, which is the current one."""
        return PepperVersions(self.next_version, {**self.values, self.next_version: value})

    def without(self, version: int) -> "PepperVersions":
        return replace(self, values={n: value for n, value in self.values.items() if n != version})

    def document(self) -> dict[str, Any]:
        return {"current": self.current, "versions": {str(n): value for n, value in self.values.items()}}

    def peppers(self) -> Peppers:
        """Where each value is the pepper itself."""
        return Peppers(self.current, {n: bytes.fromhex(value) for n, value in self.values.items()})


def new_pepper(_version: int = 1) -> str:
    """Random: no two are the same, of whatever version."""
    return secrets.token_hex(PEPPER_BYTES)


def decode_versions(document: object, value: re.Pattern[str] = HEX_PEPPER) -> PepperVersions | None:
    """None where it is malformed, or a value is no `value`."""
    match document:
        case {"current": int(current), "versions": dict(versions), **rest} if not rest and type(current) is int:
            if all(_is_item(*item, value) for item in versions.items()) and str(current) in versions:
                return PepperVersions(current, {int(n): text for n, text in versions.items()})
    return None


def require_whole(versions: PepperVersions | None) -> PepperVersions:
    """For whoever would write over them. Raises: InvalidArgument where they are malformed."""
    if versions is None:
        raise InvalidArgument("The pepper is malformed, and nothing here overwrites it. Restore it from a backup.")
    return versions


def _is_item(version: object, text: object, value: re.Pattern[str]) -> bool:
    is_version = isinstance(version, str) and _VERSION.fullmatch(version) is not None
    return is_version and isinstance(text, str) and value.fullmatch(text) is not None
