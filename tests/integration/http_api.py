"""The HTTP API as a client sees it: one connection a call, each reply looked through for secrets of others."""

import http.client
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from canary import Canary

from keyrail.domain.key_format import KeyFormat, new_secret

CLIENT_SECONDS = 20.0  # longer than anything here should take: a call that hangs fails a test by its time


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.text)
        return document

    @property
    def code(self) -> str:
        return str(self.json.get("code", "OK"))

    def ok(self) -> dict[str, Any]:
        assert 200 <= self.status < 300, f"{self.status} {self.text}"
        return self.json


@dataclass(frozen=True)
class Key:
    key_id: str
    text: str


class Api:
    """`url_of` a function, by its name; `key` is the caller's own."""

    def __init__(self, canary: Canary, key: str, url_of: Callable[[str], str], tenant: str = "acme") -> None:
        self.canary, self.key, self.url_of, self.tenant = canary, key, url_of, tenant

    def of_tenant(self, tenant: str) -> "Api":
        return Api(self.canary, self.key, self.url_of, tenant)

    def call(
        self,
        function: str,
        method: str,
        path: str,
        body: dict[str, Any] | bytes | None = None,
        *,
        at: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        url = urlsplit(at or self.url_of(function))
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=CLIENT_SECONDS)
        try:
            connection.request(method, path, encoded(body), self._headers(body) | dict(headers or {}))
            answer = connection.getresponse()
            reply = Reply(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()
        self.canary.search(f"a reply of {function}", f"{answer.headers}{reply.text}", self._shown_once(reply))
        return reply

    def hang_up(self, function: str, path: str, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        """Sends the whole POST and closes the connection: whatever is answered is lost."""
        url = urlsplit(self.url_of(function))
        lines = {
            **self._headers(body),
            **headers,
            "Host": "localhost",
            "Content-Length": str(len(encoded(body) or b"")),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with socket.create_connection((url.hostname or "", url.port or 80), CLIENT_SECONDS) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + (encoded(body) or b""))

    def _headers(self, body: object) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return headers | ({"Content-Type": "application/json"} if body is not None else {})

    def _shown_once(self, reply: Reply) -> list[str]:
        """The one key that a reply may hold, which from now on is looked for everywhere else."""
        if reply.status not in (200, 201) or '"key":"' not in reply.text:
            return []
        self.canary.knows_key(reply.json["key"])
        return [f'"key":"{reply.json["key"]}"']

    # -- one method an operation ------------------------------------------------------------------------------------

    def try_issue(self, idempotency_key: str | None = None, **fields: Any) -> Reply:
        return self.call("issue_key", "POST", "/v1/keys", self.a_key(**fields), headers=idempotent(idempotency_key))

    def a_key(self, **fields: Any) -> dict[str, Any]:
        return {"tenant": self.tenant, "owner": "ml-team", "name": "a key", "scopes": ["ml:infer"], **fields}

    def issue(self, **fields: Any) -> Key:
        made = self.try_issue(**fields).ok()
        return Key(made["key_id"], made["key"])

    def rotate(self, key_id: str, idempotency_key: str | None = None, *, at: str | None = None, **fields: Any) -> Reply:
        path = f"/v1/keys/{key_id}/rotate"
        return self.call("rotate", "POST", path, fields, at=at, headers=idempotent(idempotency_key))

    def revoke(self, key_id: str, **fields: Any) -> Reply:
        return self.call("revoke_key", "POST", f"/v1/keys/{key_id}/revoke", fields)

    def update(self, key_id: str, **fields: Any) -> Reply:
        return self.call("update_key", "PATCH", f"/v1/keys/{key_id}", fields)

    def get(self, key_id: str) -> Reply:
        return self.call("get_key", "GET", f"/v1/keys/{key_id}")

    def list_page(self, **query: Any) -> Reply:
        return self.call("list_keys", "GET", f"/v1/keys?{urlencode({'tenant': self.tenant, **query})}")

    def list_all(self) -> list[dict[str, Any]]:
        page = self.list_page(limit=200).ok()
        keys = page["keys"]
        while "next_cursor" in page:
            page = self.list_page(limit=200, cursor=page["next_cursor"]).ok()
            keys += page["keys"]
        return list(keys)

    def validate(self, key: str, *, at: str | None = None, **fields: Any) -> Reply:
        return self.call("validate_key", "POST", "/v1/keys/validate", {"key": key, **fields}, at=at)

    def code_of(self, key: str, *, at: str | None = None, **fields: Any) -> str:
        """What validation says of `key`: the code of its 200."""
        return str(self.validate(key, at=at, **fields).ok()["code"])


def a_key_like(key_id: str) -> str:
    """Well-formed, and never issued."""
    return KeyFormat().assemble(key_id, new_secret())


def encoded(body: dict[str, Any] | bytes | None) -> bytes | None:
    return json.dumps(body).encode() if isinstance(body, dict) else body


def idempotent(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}
