"""All of Keyrail by `docker-compose up -d`: everything comes up in its order and works together."""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from composed import Composed
from docker_engine import DockerEngine
from grpc_container import Client

ENDS, LASTS = {"bootstrap"}, {"ticker", "jaeger"}


@pytest.fixture(scope="module")
def composed() -> Iterator[Composed]:
    with DockerEngine() as engine, Composed(engine) as up:
        yield up


@pytest.fixture(scope="module")
def admin_key(composed: Composed) -> str:
    """As docs/deploy/compose.md has it."""
    return composed.run("exec", "-T", "ticker", "cat", "/admin/admin.key")


def fetched(composed: Composed, port: int, path: str, key: str = "", sent: object = None) -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    body = None if sent is None else json.dumps(sent).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{composed.ports[port]}{path}", body, headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


def asked(composed: Composed, query: str) -> list[dict[str, Any]]:
    """What Prometheus answers."""
    path = f"/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    result: list[dict[str, Any]] = fetched(composed, 9090, path)["data"]["result"]
    return result


def test_everything_comes_up(composed: Composed) -> None:
    wanted = dict.fromkeys(composed.services, "healthy")
    wanted |= dict.fromkeys(ENDS, "exited 0") | dict.fromkeys(LASTS, "running")
    composed.wait_until(lambda: {name: composed.state_of(name) for name in wanted} == wanted)


def test_a_key_issued_over_http_is_valid_over_grpc(composed: Composed, admin_key: str) -> None:
    fields = {"tenant": "acme", "owner": "svc-recommender", "name": "first key", "scopes": ["ml:infer"]}
    made = fetched(composed, 8080, "/v1/keys", admin_key, fields)
    verdict = fetched(composed, 8080, "/v1/keys/validate", admin_key, {"key": made["key"]})
    assert verdict["code"] == "VALID"
    with grpc.insecure_channel(f"127.0.0.1:{composed.ports[50051]}") as channel:
        client = Client(channel, admin_key)
        assert client.is_serving("keyrail.v1.KeyService")
        assert client.code_of(made["key"], required_scopes="ml:infer") == "VALID"


def test_prometheus_reaches_everything_sees_the_clock_and_has_the_alerts(composed: Composed) -> None:
    composed.wait_until(lambda: {each["value"][1] for each in asked(composed, "up")} == {"1"})
    assert len(asked(composed, "up")) == 10
    composed.wait_until(lambda: bool(asked(composed, 'keyrail_requests_total{operation="rotate_due", code="OK"} > 0')))
    (group,) = fetched(composed, 9090, "/api/v1/rules")["data"]["groups"]
    assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
    assert len(group["rules"]) > 5


def test_the_viewer_of_traces_is_sent_spans(composed: Composed) -> None:
    """By those who were just asked."""
    senders = {"keyrail-issue_key", "keyrail-validate_key", "keyrail-grpc"}
    composed.wait_until(lambda: senders <= {*fetched(composed, 16686, "/api/services")["data"]})
