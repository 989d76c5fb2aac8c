"""The whole life of a key, told by real requests to a running system and its real replies.

Keys are cut: krl_live_<key id>_****
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keyrail.dev.asking import Reply, ask
from keyrail.domain.key_format import ANY_KEY, CHECKSUM_CHARS, SECRET_CHARS

GRACE_SECONDS = 60
FRESH_WITHIN_SECONDS = 5.0  # revocation is seen within about a second, see docs/concepts.md "Freshness"
POLL_SECONDS = 0.05
_SECRET_CHARS = SECRET_CHARS + CHECKSUM_CHARS
_TOLD_HEADERS = ("Deprecation", "Sunset")

Say = Callable[[str], None]


class DemoError(Exception):
    """The system did not do what the demo tells."""


@dataclass(frozen=True)
class Narrator:
    url: str
    key: str
    say: Say

    def call(self, path: str, body: dict[str, Any]) -> Reply:
        """A POST as it is; nothing is said."""
        return ask("POST", self.url + path, self.key, body)

    def show(self, title: str, path: str, body: dict[str, Any], told: tuple[str, ...], status: int) -> Reply:
        """A POST, its request and of its reply the fields `told`. Raises: DemoError on another status."""
        reply = self.call(path, body)
        self.say(f"\n── {title}")
        self.say(f"   POST {path}  {cut(json.dumps(body))}")
        headers = [f"{name}: {reply.headers[name]}" for name in _TOLD_HEADERS if name in reply.headers]
        self.say("   " + "  ".join([f"{reply.status}", *headers]))
        self.say(_indented({name: reply.body[name] for name in told if name in reply.body}))
        if reply.status != status:
            raise DemoError(f"{path} answered {reply.status} {reply.body.get('code')} instead of {status}")
        return reply


def show_life_of_a_key(url: str, admin_key: str, say: Say) -> None:
    """Raises: DemoError, urllib3.exceptions.HTTPError."""
    narrator = Narrator(url, admin_key, say)
    issued = narrator.show(
        "Issue a key for tenant acme",
        "/v1/keys",
        {"tenant": "acme", "owner": "team-ml", "name": "inference gateway", "scopes": ["ml:infer"]},
        ("key_id", "key", "scopes", "expires_at"),
        status=201,
    ).body
    key_id, old = issued["key_id"], issued["key"]
    _validate(narrator, "Validate it", old, code="VALID")
    rotated = narrator.show(
        f"Rotate it: the id stays, the old secret lives on for {GRACE_SECONDS} s",
        f"/v1/keys/{key_id}/rotate",
        {"grace_seconds": GRACE_SECONDS},
        ("key_id", "key", "generations"),
        status=200,
    ).body
    new = rotated["key"]
    _validate(
        narrator, "The old secret in its grace period: see Deprecation and Sunset", old, code="VALID", in_grace=True
    )
    _validate(narrator, "The new secret", new, code="VALID")
    narrator.show(
        "Revoke it, all generations, for good",
        f"/v1/keys/{key_id}/revoke",
        {"reason": "end of the demo"},
        ("key_id", "state", "reason", "revoked_at"),
        status=200,
    )
    seconds = _wait_until_refused(narrator, old, new)
    _validate(narrator, f"Both are refused, {seconds:.2f} s after the revocation: the old one", old, code="REVOKED")
    _validate(narrator, "... and the new one", new, code="REVOKED")


def _validate(narrator: Narrator, title: str, key: str, *, code: str, in_grace: bool = False) -> None:
    """Right after a rotation a warm instance may hold the record from before it, for about a second."""
    body = {"key": key}
    ends_at = time.monotonic() + FRESH_WITHIN_SECONDS
    while not _is_as_told(narrator.call("/v1/keys/validate", body), code, in_grace) and time.monotonic() < ends_at:
        time.sleep(POLL_SECONDS)
    told = ("valid", "code", "key_id", "generation", "principal", "scopes")
    reply = narrator.show(title, "/v1/keys/validate", body, told, status=200)
    if not _is_as_told(reply, code, in_grace):
        raise DemoError(f"expected {code}, got {reply.body.get('code')}")


def _is_as_told(reply: Reply, code: str, in_grace: bool) -> bool:
    return reply.body.get("code") == code and (not in_grace or "Sunset" in reply.headers)


def _wait_until_refused(narrator: Narrator, *keys: str) -> float:
    """Seconds until every one of `keys` is refused. Raises: DemoError."""
    started = time.monotonic()
    while True:
        codes = [narrator.call("/v1/keys/validate", {"key": key}).body.get("code") for key in keys]
        passed = time.monotonic() - started
        if all(code == "REVOKED" for code in codes):
            return passed
        if passed > FRESH_WITHIN_SECONDS:
            raise DemoError(f"{passed:.1f} s after the revocation the answers are {codes}")
        time.sleep(POLL_SECONDS)


def cut(text: str) -> str:
    """Every key in `text` without its secret."""
    return ANY_KEY.sub(lambda match: match[0][:-_SECRET_CHARS] + "****", text)


def _indented(fields: dict[str, Any]) -> str:
    lines = [f'     "{name}": {json.dumps(value)}' for name, value in fields.items()]
    return cut("\n".join(lines))
