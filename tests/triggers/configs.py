"""Configs as a client writes and reads them, over the functions of one deployment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployment import ADMIN, Deployment
from werkzeug.test import TestResponse


@dataclass(frozen=True)
class Configs:
    deployment: Deployment
    tenant: str = "acme"

    def put(self, name: str, *, by: str | None = ADMIN, if_match: int | str | None = None, **body: Any) -> TestResponse:
        headers = {} if if_match is None else {"If-Match": if_match if isinstance(if_match, str) else f'"{if_match}"'}
        return self.deployment.call(
            "write_config",
            {"tenant": self.tenant, **body},
            by=by,
            headers=headers,
            path=f"/v1/config/{name}",
        )

    def get(self, name: str, *, by: str | None = ADMIN, **query: Any) -> TestResponse:
        asked: Mapping[str, str] = {"tenant": self.tenant, **{each: str(value) for each, value in query.items()}}
        return self.deployment.call("read_config", by=by, query=asked, path=f"/v1/config/{name}")

    def written(self, name: str, **more: Any) -> dict[str, Any]:
        reply = self.put(name, **more)
        assert reply.status_code == 200, reply.json
        return dict(reply.json)

    def read(self, name: str, **more: Any) -> dict[str, Any]:
        reply = self.get(name, **more)
        assert reply.status_code == 200, reply.json
        return dict(reply.json)

    def value(self, name: str, **more: Any) -> Any:
        return self.read(name, **more)["value"]

    def tick(self) -> dict[str, Any]:
        reply = self.deployment.call("rotate", {}, path="/v1/rotation/tick")
        return dict(reply.json)

    def key(self, *scopes: str, tenant: str = "acme") -> str:
        return self.deployment.issue(tenant=tenant, scopes=list(scopes)).key


def code_of(reply: TestResponse) -> tuple[int, str]:
    return reply.status_code, reply.json["code"]
