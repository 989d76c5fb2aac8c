"""CloudEvents 1.0 over HTTP to one receiver, in binary or in structured mode (HTTP Protocol Binding, section 3).

2xx is taken. 400, 409, 413, 415 and 422 are about this very event. Anything else, a redirect too (never followed: it
would carry events elsewhere), is a receiver that takes nothing now.
"""

import json
import os
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from keyrail.adapters.event_document import document_of
from keyrail.adapters.vault_transport import Deadline, Transport, TransportFault
from keyrail.adapters.web_server import WebServer
from keyrail.domain.errors import Unavailable
from keyrail.domain.events import LifecycleEvent

TRIES = 3  # of one event, where the receiver takes nothing
FIRST_PAUSE_SECONDS = 0.2  # before the second try, and up to half more; three times as long before the third
TRY_SECONDS = 3.0
ABOUT_THE_EVENT = (400, 409, 413, 415, 422)
_EXTENSION = re.compile(r"[a-z0-9]{1,20}")  # CloudEvents 1.0, section "Naming Conventions"
_CORE = {"specversion", "id", "type", "source", "subject", "time", "datacontenttype", "dataschema", "data"}
_UNSAFE = re.compile(r'[^\x21-\x7e]|["%]')  # in a header; HTTP Protocol Binding, section 3.1.3.2

Mode = Literal["binary", "structured"]


def parse_overrides(text: str | None) -> dict[str, str]:
    """The extensions of Knative's K_CE_OVERRIDES: {"extensions": {"name": "value"}}. Raises: ValueError."""
    try:
        overrides: object = json.loads(text or "{}")
    except ValueError:
        overrides = None
    extensions = (overrides.get("extensions") or {}) if isinstance(overrides, dict) else None
    if not isinstance(extensions, dict) or not all(_is_extension(*item) for item in extensions.items()):
        raise ValueError('K_CE_OVERRIDES must look like {"extensions": {"name": "value"}}')
    return extensions


def _is_extension(name: str, value: object) -> bool:
    return _EXTENSION.fullmatch(name) is not None and name not in _CORE and isinstance(value, str)


@dataclass
class HttpEventSink:
    """One request an event, and up to two more where the receiver takes nothing. Opens no connection before."""

    server: WebServer
    elapsed_seconds: Callable[[], float]
    mode: Mode = "binary"
    extensions: Mapping[str, str] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep
    _transport: tuple[int, Transport] | None = None

    def send(self, event: LifecycleEvent, seconds: float) -> bool:
        headers, body = _message(event, self.mode, self.extensions)
        deadline, pause = Deadline(seconds), FIRST_PAUSE_SECONDS
        for tried in range(1, TRIES + 1):
            answer = self._post(headers, body, deadline.at_most(TRY_SECONDS))
            if isinstance(answer, int) and 200 <= answer < 300:
                return True
            if answer in ABOUT_THE_EVENT:
                return False
            pause *= random.uniform(1, 1.5)  # noqa: S311 - spreads load, guards nothing
            if tried == TRIES or not _has_left(deadline, pause):
                break
            self.sleep(pause)
            pause *= 3
        raise Unavailable(f"the receiver of events does not take them: {answer}")

    def _post(self, headers: dict[str, str], body: bytes, deadline: Deadline) -> int | str:
        """The status, or what went wrong instead."""
        try:
            target = self.server.target
            return self._of_this_process().exchange("POST", target, dict(headers), body, deadline).status
        except TransportFault as fault:
            return fault.cause

    def _of_this_process(self) -> Transport:
        if self._transport is None or self._transport[0] != os.getpid():
            self._transport = os.getpid(), Transport(self.server, self.elapsed_seconds)
        return self._transport[1]


def _has_left(deadline: Deadline, seconds: float) -> bool:
    try:
        return deadline.left_seconds() > seconds
    except TimeoutError:
        return False


def _message(event: LifecycleEvent, mode: Mode, extensions: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """Headers and body."""
    attributes: dict[str, Any] = document_of(event) | dict(extensions)
    if mode == "structured":
        return {"Content-Type": "application/cloudevents+json; charset=utf-8"}, _json(attributes)
    data, content_type = attributes.pop("data"), attributes.pop("datacontenttype")
    headers = {f"ce-{name}": _header_text(value) for name, value in attributes.items()}
    return {"Content-Type": content_type} | headers, _json(data)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _header_text(value: str) -> str:
    return _UNSAFE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), value)
