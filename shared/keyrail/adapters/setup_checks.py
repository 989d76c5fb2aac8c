"""What `keyrail doctor` looks at wherever Keyrail's documents lie. Nothing here writes.

Each check is a function that returns a note where all is well, and raises Wrong, or a KeyrailError, where it is not.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from keyrail.adapters.admin_key import MARKER
from keyrail.adapters.pepper_admin import PepperPlace
from keyrail.adapters.setup_documents import ROLES, Documents
from keyrail.domain.errors import InvalidArgument
from keyrail.domain.roles import BUILT_IN_ROLES

CLOCK_SECONDS = 5.0  # keys begin and end by each function's own clock; JWT logins allow 60 s
BOOTSTRAP = "Run `keyrail bootstrap`."

Check = tuple[str, Callable[[], str]]


class Wrong(Exception):
    """`advice` says what to do. Neither text holds a secret."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.what, self.advice = what, advice


def clock_is_well(server_now: datetime | None) -> str:
    if server_now is None:
        raise Wrong("the server sends no Date", "Compare the clocks by hand.")
    # the header has whole seconds, cut off: half of one more on average
    behind = (datetime.now(UTC) - server_now).total_seconds() - 0.5
    if abs(behind) > CLOCK_SECONDS:
        where = "ahead of" if behind > 0 else "behind"
        raise Wrong(f"this machine is {abs(behind):.0f} s {where} the server", "Set both clocks by NTP.")
    return f"within {CLOCK_SECONDS:.0f} s of the server's"


def pepper_is_well(place: PepperPlace) -> str:
    try:
        found = place.read()
    except InvalidArgument as malformed:
        advice = "Restore it from a backup: without it no key can be validated."
        raise Wrong("is malformed", advice) from malformed
    if found is None:
        raise Wrong("is not there", BOOTSTRAP)
    return f"version {found[0].current} is current, {len(found[0].values)} known"


def roles_are_well(documents: Documents) -> str:
    roles = there(documents, ROLES)
    if not all(isinstance(v, list) and all(isinstance(scope, str) for scope in v) for v in roles.values()):
        raise Wrong("are malformed", "Each role must be a list of scopes.")
    missing = [name for name in BUILT_IN_ROLES if name not in roles]
    if missing:
        raise Wrong(f"lack {', '.join(missing)}", BOOTSTRAP)
    return ", ".join(sorted(roles))


def admin_key_is_well(documents: Documents) -> str:
    marker = there(documents, MARKER)
    if not marker.get("handed_over"):
        raise Wrong("a bootstrap was cut off before it handed the key over", BOOTSTRAP)
    return f"key id {marker['key_id']}"


def there(documents: Documents, name: str) -> dict[str, Any]:
    found = documents.read(name)
    if found is None:
        raise Wrong("is not there", BOOTSTRAP)
    return found[0]
