"""GET /livez, /readyz and /metrics: on every function, of anyone, and without a key."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import functions_framework
import pytest
from deployment import OPERATIONS, Deployment, unavailable
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from keyrail import bootstrap
from keyrail.dev.functions import find_functions, function_of_operation
from keyrail.domain.errors import DeadlineExceeded

EVERY_OPERATION = pytest.mark.parametrize("operation", OPERATIONS)


@pytest.fixture
def client_of() -> Callable[[str], FlaskClient]:
    """Not shared: a function remembers for a second what its last look at the store said."""
    made: dict[str, FlaskClient] = {}
    mains = find_functions(Path("functions"))
    functions = function_of_operation(mains)

    def client(operation: str) -> FlaskClient:
        if operation not in made:
            app = functions_framework.create_app("handler", str(mains[functions[operation]]), "http")
            made[operation] = app.test_client()
        return made[operation]

    return client


def probe(deployment: Deployment, path: str, operation: str = "validate_key", **more: Any) -> TestResponse:
    return deployment.call(operation, by=None, path=path, **({"method": "GET", "data": b""} | more))


def text_of(reply: TestResponse) -> tuple[int, str]:
    assert reply.content_type == "text/plain; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-store"
    return reply.status_code, reply.text


@EVERY_OPERATION
def test_a_function_that_is_up_is_alive_and_ready(deployment: Deployment, operation: str) -> None:
    assert text_of(probe(deployment, "/livez", operation)) == (200, "alive\n")
    assert text_of(probe(deployment, "/readyz", operation)) == (200, "ready\n")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_head_is_the_head_of_get(deployment: Deployment, path: str) -> None:
    head, get = probe(deployment, path, method="HEAD"), probe(deployment, path)
    assert (head.status_code, head.content_type, head.data) == (get.status_code, get.content_type, b"")


@pytest.mark.parametrize("fault", [unavailable, lambda: _raise(DeadlineExceeded("late"))])
def test_not_ready_while_the_store_cannot_be_read(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, fault: Callable[[], Any]
) -> None:
    feed = deployment.services.feed
    with monkeypatch.context() as while_it_lasts:
        while_it_lasts.setattr(feed, "head", fault)
        status, text = text_of(probe(deployment, "/readyz"))
        assert status == 503
        assert text.endswith(": the store can't be read\n")
        assert text_of(probe(deployment, "/livez"))[0] == 200
    assert text_of(probe(deployment, "/readyz"))[0] == 200


def _raise(error: Exception) -> Any:
    raise error


def test_asking_often_reads_the_store_once_a_second(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    monkeypatch.setattr(deployment.services.feed, "head", lambda: reads.append(1))
    for _ in range(50):
        deployment.wait(0.1 - 2)  # a call comes two seconds after the one before
        assert probe(deployment, "/readyz").status_code == 200
    assert len(reads) == 5


def test_not_ready_once_the_worker_is_told_to_stop(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = _Worker()
    monkeypatch.setattr(signal, "getsignal", lambda number: worker.handle_exit)
    assert probe(deployment, "/readyz").status_code == 200
    worker.alive = False
    assert text_of(probe(deployment, "/readyz")) == (503, "not ready: draining\n")
    assert probe(deployment, "/livez").status_code == 200


class _Worker(SimpleNamespace):
    """As gunicorn's: the handler of SIGTERM is its method."""

    alive = True

    def handle_exit(self) -> None: ...


class TestWrongSettings:
    """The process starts, says what is wrong in its log, and serves nothing."""

    @pytest.fixture(autouse=True)
    def wrong(self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bootstrap, "_built", None)
        monkeypatch.setenv("KEYRAIL_STORE", "cardboard-box-4711")
        monkeypatch.setenv("VAULT_TOKEN", "hvs.canary")

    @EVERY_OPERATION
    def test_alive_but_not_ready(self, deployment: Deployment, operation: str) -> None:
        assert text_of(probe(deployment, "/livez", operation))[0] == 200
        assert text_of(probe(deployment, "/readyz", operation)) == (503, "not ready: INTERNAL: see the log\n")
        assert probe(deployment, "/metrics", operation).status_code == 503

    @EVERY_OPERATION
    def test_every_request_is_a_defect(self, deployment: Deployment, operation: str) -> None:
        reply = deployment.call(operation, headers={"X-Correlation-ID": "quote-this-one"})
        assert (reply.status_code, reply.json["code"]) == (500, "INTERNAL")
        assert reply.json["correlation_id"] == reply.headers["X-Correlation-ID"] == "quote-this-one"

    @pytest.mark.parametrize("path", ["/readyz", "/v1/keys/validate"])
    def test_the_log_names_the_setting_and_never_a_value(self, deployment: Deployment, output: Any, path: str) -> None:
        reply = deployment.call("validate_key", {"key": "x"}) if path.startswith("/v1") else probe(deployment, path)
        assert reply.status_code >= 500
        assert "KEYRAIL_STORE" in output.text
        assert "KEYRAIL_STORE" not in reply.text
        assert "4711" not in output.text + reply.text
        assert "canary" not in output.text + reply.text

    def test_a_request_has_its_line_all_the_same(self, deployment: Deployment, output: Any) -> None:
        deployment.call("validate_key", {"key": "x"}, headers={"X-Correlation-ID": "quote-this-one"})
        (line,) = output.lines("request")
        assert (line["level"], line["operation"], line["code"]) == ("error", "validate_key", "INTERNAL")
        assert line["correlation_id"] == "quote-this-one"

    def test_put_right_it_serves_without_a_restart(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert probe(deployment, "/readyz").status_code == 503
        monkeypatch.setenv("KEYRAIL_STORE", "memory")
        monkeypatch.setenv("KEYRAIL_FEED_POLL", "inline")
        assert probe(deployment, "/readyz").status_code == 200
        assert bootstrap._built is not None
        assert bootstrap._built[0] == os.getpid()


def samples(deployment: Deployment, operation: str = "validate_key") -> dict[str, float]:
    reply = probe(deployment, "/metrics", operation)
    assert reply.status_code == 200
    assert reply.content_type.startswith("text/plain; version=")
    lines = [line.rsplit(" ", 1) for line in reply.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


class TestMetrics:
    def test_count_requests_by_operation_and_code(self, deployment: Deployment) -> None:
        issued = deployment.issue()
        deployment.code_of(issued.key)
        deployment.code_of("no key")
        deployment.call("validate_key", {"key": issued.key}, by=None)
        found = samples(deployment)
        counts = {name: value for name, value in found.items() if name.startswith("keyrail_requests_total")}
        assert counts == {
            'keyrail_requests_total{code="OK",operation="issue_key"}': 1,
            'keyrail_requests_total{code="VALID",operation="validate_key"}': 1,
            'keyrail_requests_total{code="MALFORMED",operation="validate_key"}': 1,
            'keyrail_requests_total{code="MISSING",operation="validate_key"}': 1,
        }
        assert found['keyrail_request_seconds_count{operation="validate_key"}'] == 3

    def test_count_cache_hits_and_the_age_of_the_feed(self, deployment: Deployment) -> None:
        key = deployment.issue().key
        before = samples(deployment)
        for _ in range(3):
            deployment.code_of(key)  # the admin's key and this one
        after = samples(deployment)
        hits, misses = (f'keyrail_cache_lookups_total{{outcome="{outcome}"}}' for outcome in ("hit", "miss"))
        assert after[hits] + after[misses] - before.get(hits, 0) - before[misses] == 6
        assert after[hits] > before.get(hits, 0)
        assert after["keyrail_feed_age_seconds"] == 2  # the call that reads the metrics comes two seconds later

    def test_the_age_of_a_feed_that_cannot_be_read_grows(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deployment.code_of("x")
        monkeypatch.setattr(deployment.services.feed, "head", unavailable)
        deployment.wait(60)
        assert samples(deployment)["keyrail_feed_age_seconds"] == 62

    def test_have_no_label_that_a_client_could_choose(self, deployment: Deployment) -> None:
        issued = deployment.issue()
        deployment.code_of(issued.key)
        deployment.call("validate_key", {"canary": "canary"}, headers={"X-Correlation-ID": "canary-canary"})
        deployment.call("validate_key", path="/canary", method="CANARY")
        text = probe(deployment, "/metrics").text
        assert not {issued.key_id, issued.key, "canary", "CANARY", "acme"} & set(text.replace('"', " ").split())
        assert "anary" not in text

    def test_none_where_the_deployment_wants_none(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bootstrap, "_built", None)
        monkeypatch.setenv("KEYRAIL_STORE", "memory")
        monkeypatch.setenv("KEYRAIL_METRICS", "none")
        reply = probe(deployment, "/metrics")
        assert (reply.status_code, reply.data) == (200, b"")


class TestADefectOutsideAnyOperation:
    """What nobody foresaw, before there are services to dispatch to, ends as any defect does: in one problem, and
    without its text, which may hold anything."""

    @pytest.fixture(autouse=True)
    def defect(self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bootstrap, "_built", None)
        monkeypatch.setattr(bootstrap, "load_settings", lambda: _raise(ValueError("canary 4711")))

    @pytest.mark.parametrize("path", ["/v1/keys/validate", "/readyz", "/metrics"])
    def test_is_told_without_its_text(self, deployment: Deployment, output: Any, path: str) -> None:
        reply = deployment.call("validate_key", {"key": "x"}) if path.startswith("/v1") else probe(deployment, path)
        assert (reply.status_code, reply.json["code"]) == (500, "INTERNAL")
        assert "4711" not in reply.text + output.text
        (line,) = output.lines("log")
        assert line["exception"].startswith("ValueError at test_probes.py")
        assert line["correlation_id"] == reply.json["correlation_id"] == reply.headers["X-Correlation-ID"]
