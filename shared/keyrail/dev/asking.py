"""One request to what runs on this machine."""

import json
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 15


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    body: dict[str, Any]


def ask(method: str, url: str, key: str | None = None, body: dict[str, Any] | None = None) -> Reply:
    """As it is: no redirect is followed and nothing is tried again. Raises: urllib3.exceptions.HTTPError."""
    import urllib3

    answer = urllib3.PoolManager().request(
        method,
        url,
        body=None if body is None else json.dumps(body).encode(),
        headers={
            **({} if key is None else {"Authorization": f"Bearer {key}"}),
            **({} if body is None else {"Content-Type": "application/json"}),
        },
        redirect=False,
        retries=False,
        timeout=TIMEOUT_SECONDS,
    )
    return Reply(answer.status, answer.headers, json.loads(answer.data))
