"""Rotators by kind: the built-in ones, and those that installed packages offer as entry points of the group
`keyrail.rotators`, whose name is the kind. docs/rotation-kinds.md "A kind of your own" """

from collections.abc import Mapping

from keyrail.domain.errors import RotatorFailed
from keyrail.rotation_ports import CredentialRotator

GROUP = "keyrail.rotators"


class InstalledRotators:
    """An entry point is loaded when its kind is first asked for, and called without arguments. A built-in kind can't
    be replaced."""

    def __init__(self, built_in: Mapping[str, CredentialRotator]) -> None:
        self._by_kind = dict(built_in)

    def find(self, kind: str) -> CredentialRotator | None:
        if kind not in self._by_kind:
            loaded = _loaded(kind)
            if loaded is None:
                return None
            self._by_kind[kind] = loaded
        return self._by_kind[kind]


def _loaded(kind: str) -> CredentialRotator | None:
    """Raises: RotatorFailed where what is installed can't be loaded; its own text may hold anything, and stays out."""
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=GROUP, name=kind):
        try:
            rotator: CredentialRotator = entry_point.load()()
        except Exception as error:  # code of others: whatever it raises stops its own kind, and no other
            raise RotatorFailed(f"the rotator {kind} can't be loaded: {type(error).__name__}") from error
        return rotator
    return None
