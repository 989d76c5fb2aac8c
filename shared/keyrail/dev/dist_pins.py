"""Which distributions a function needs beside Keyrail, with the versions and hashes of constraints/deploy.txt."""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Pins = Mapping[str, str]  # by canonical name: the lines of a requirement with its hashes
_TARGET = {"python_version": "3.12", "python_full_version": "3.12.0", "sys_platform": "linux"}
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==")


class NotPinned(Exception):
    """A distribution that is needed and not in constraints/deploy.txt, or not installed here."""


class _Pinned(dict[str, str]):
    def __missing__(self, name: str) -> str:
        raise NotPinned(f"{name} is not in constraints/deploy.txt")


def read(file: Path) -> Pins:
    pins = _Pinned()
    name = ""
    for line in file.read_text().splitlines(keepends=True):
        found = _PIN.match(line)
        name = canonicalize_name(found[1]) if found else name
        if name and not line.lstrip().startswith("#"):
            pins[name] = pins.get(name, "") + line
    return pins


def closure(extras: tuple[str, ...]) -> list[str]:
    """Names of all that Keyrail needs with these extras, as the metadata installed here say, in order."""
    seen: set[str] = set()
    waiting = list(_required("keyrail", frozenset(extras)))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in seen:
            seen.add(name)
            waiting += _required(name, frozenset(requirement.extras))
    return sorted(seen)


def _required(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    try:
        told = requires(name) or []
    except PackageNotFoundError as error:
        raise NotPinned(f"{name} is not installed here: make clean, then again") from error
    for requirement in map(Requirement, told):
        marker = requirement.marker
        if marker is None or any(marker.evaluate(_TARGET | {"extra": extra}) for extra in ("", *extras)):
            yield requirement
