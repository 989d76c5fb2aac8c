"""Where a rotated key is delivered to: `<kind>:<tenant>/<name>`, such as `vault:acme/inference/openai`.

    vault   the KV v2 mount `keyrail-delivery`, which consumers read under policies of their own
    file    below the folder of KEYRAIL_SINK_DIR, for local use
    secretsmanager    a secret of AWS below KEYRAIL_SECRETS_PREFIX

The first segment is the tenant of the key: nobody can deliver into another tenant's folder.
"""

import re
from dataclasses import dataclass

from keyrail.domain.errors import InvalidArgument

_SEGMENT = r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}"
SINK = re.compile(rf"(vault|file|secretsmanager):([a-z0-9][a-z0-9-]{{0,62}})((?:/{_SEGMENT}){{1,6}})")


@dataclass(frozen=True, slots=True)
class Sink:
    kind: str
    segments: tuple[str, ...]

    @property
    def tenant(self) -> str:
        return self.segments[0]


def parse_sink(text: str, tenant: str) -> Sink:
    """Raises: InvalidArgument BAD_SINK where it is malformed or of another tenant."""
    match = SINK.fullmatch(text)
    if match is None or match[2] != tenant:
        raise InvalidArgument(f"A sink of this key looks like vault:{tenant}/service/name.", code="BAD_SINK")
    return Sink(match[1], (match[2], *match[3][1:].split("/")))
