"""Where traces are collected: one span for the call and one for its operation, whatever becomes of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from deployment import ADMIN, OPERATIONS, UNKNOWN_ID, Deployment, unavailable
from grpc_client import GrpcClient
from opentelemetry.sdk.trace import ReadableSpan, sampling
from opentelemetry.trace import SpanKind
from refusals import BODIES
from test_grpc_ext_authz import CHECK, bearer, check

from collected import Collected, collecting
from keyrail.domain.key_format import SECRET_CHARS, KeyFormat, new_secret
from keyrail.v1 import keys_pb2

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
VALIDATE = "POST /v1/keys/validate"


@pytest.fixture
def spans() -> Iterator[Collected]:
    with collecting() as collected:
        yield collected


def ids(span: ReadableSpan) -> dict[str, str]:
    assert span.context is not None
    return {"trace_id": f"{span.context.trace_id:032x}", "span_id": f"{span.context.span_id:016x}"}


def is_within(inner: ReadableSpan, outer: ReadableSpan) -> bool:
    assert inner.parent is not None
    assert inner.context is not None
    return inner.parent == outer.context and inner.parent.trace_id == inner.context.trace_id


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


class TestOverHttp:
    def test_a_valid_key(self, deployment: Deployment, spans: Collected) -> None:
        key = deployment.issue().key
        spans.clear()
        assert deployment.code_of(key) == "VALID"
        operation, server = spans.all()
        assert (server.name, server.kind, server.parent) == (VALIDATE, SpanKind.SERVER, None)
        assert (operation.name, operation.kind) == ("validate_key", SpanKind.INTERNAL)
        assert is_within(operation, server)
        assert told(operation) == {"keyrail.code": "VALID"}
        assert told(server) == {
            "http.request.method": "POST",
            "http.route": "/v1/keys/validate",
            "url.path": "/v1/keys/validate",
            "http.response.status_code": 200,
        }
        assert {operation.status.status_code.name, server.status.status_code.name} == {"UNSET"}

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_each_operation_has_its_route(self, deployment: Deployment, spans: Collected, operation: str) -> None:
        offered = OPERATIONS[operation]
        deployment.call(operation, BODIES.get(operation))
        server = spans.one(f"{offered.method} {offered.path}")
        assert is_within(spans.one(operation), server)
        assert told(server)["http.route"] == told(server)["url.path"] == offered.path  # no id in it

    def test_a_clients_fault_is_no_failure(self, deployment: Deployment, spans: Collected) -> None:
        """The status of a server's span stays unset for 4xx (semantic conventions, HTTP spans, "Status")."""
        unknown = KeyFormat().assemble(UNKNOWN_ID, new_secret())
        assert deployment.code_of(unknown) == "NOT_FOUND"
        assert told(spans.one("validate_key")) == {"keyrail.code": "NOT_FOUND"}
        assert deployment.call("list_keys", by=unknown).status_code == 401
        assert told(spans.one("list_keys")) == {"keyrail.code": "NOT_FOUND"}
        assert told(spans.one("GET /v1/keys"))["http.response.status_code"] == 401
        assert all(span.status.is_unset for span in spans.all())

    @pytest.mark.parametrize(
        ("fault", "code", "status"), [(unavailable, "UNAVAILABLE", 503), (lambda _: 1 / 0, "INTERNAL", 500)]
    )
    def test_a_fault_of_ours_is_one(
        self,
        deployment: Deployment,
        spans: Collected,
        monkeypatch: pytest.MonkeyPatch,
        fault: Any,
        code: str,
        status: int,
    ) -> None:
        monkeypatch.setattr(deployment.services.keys, "find", fault)
        assert deployment.call("get_key").status_code == status
        operation, server = spans.all()
        assert told(operation) == {"keyrail.code": code, "error.type": code}
        assert told(server)["http.response.status_code"] == status
        assert told(server)["error.type"] == str(status)
        for span in (operation, server):
            assert (span.status.status_code.name, span.status.description, span.events) == ("ERROR", None, ())

    def test_a_gateways_question(self, deployment: Deployment, spans: Collected) -> None:
        sent = {"Authorization": f"Bearer {deployment.issue().key}", "X-Keyrail-Gateway-Key": deployment.admin}
        asked = deployment.call(
            "validate_key",
            by=None,
            path="/v1/authorize",
            method="GET",
            data=b"",
            headers=sent,
            query={"tenant": "acme"},
        )
        assert asked.status_code == 200
        server = spans.one("GET /v1/authorize")
        assert told(server)["url.path"] == told(server)["http.route"] == "/v1/authorize"
        assert is_within(spans.one("validate_key"), server)

    def test_what_is_none_of_ours_is_not_told(self, deployment: Deployment, spans: Collected) -> None:
        deployment.call("get_key", path="/v1/Canary4711/x", method="CANARY", query="q=Canary4711")
        assert told(spans.one("_OTHER")) == {"http.request.method": "_OTHER", "http.response.status_code": 404}
        assert "canary" not in spans.text().lower()

    def test_a_bare_url(self, deployment: Deployment, spans: Collected) -> None:
        deployment.call("validate_key", {"key": "x"}, path="/")
        assert told(spans.one("POST /"))["url.path"] == "/"

    def test_probes_make_none(self, deployment: Deployment, spans: Collected) -> None:
        for path in ("/livez", "/readyz", "/metrics"):
            deployment.call("list_keys", path=path)
        assert spans.all() == []


class TestTheClientsTrace:
    def test_is_continued(self, deployment: Deployment, spans: Collected) -> None:
        sent = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}
        reply = deployment.call("list_keys", headers=sent)
        server = spans.one("GET /v1/keys")
        assert ids(server)["trace_id"] == reply.headers["X-Correlation-ID"] == TRACE
        assert server.parent is not None
        assert f"{server.parent.span_id:016x}" == PARENT
        assert server.parent.is_remote
        assert server.context is not None
        assert server.context.trace_state.to_header() == "vendor=1"

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "x",
            TRACEPARENT.upper(),
            f"ff{TRACEPARENT[2:]}",
            f"00-{'0' * 32}-{PARENT}-01",
            f"{TRACEPARENT},{TRACEPARENT}",
        ],
    )
    def test_is_begun_anew_where_it_is_none(self, deployment: Deployment, spans: Collected, given: str) -> None:
        assert deployment.call("list_keys", headers={"traceparent": given}).status_code == 200
        assert spans.one("GET /v1/keys").parent is None
        assert ids(spans.one("GET /v1/keys"))["trace_id"] != TRACE

    def test_that_is_not_recorded_is_named_in_the_log_all_the_same(
        self, deployment: Deployment, spans: Collected, output: Any
    ) -> None:
        deployment.call("list_keys", headers={"traceparent": f"{TRACEPARENT[:-1]}0"})
        assert spans.all() == []
        assert output.lines("request")[0]["trace_id"] == TRACE


def test_every_line_of_a_request_names_its_span(deployment: Deployment, spans: Collected, output: Any) -> None:
    deployment.issue()
    operation = ids(spans.one("issue_key"))
    lines = [*output.lines("request"), *output.lines("audit")]
    assert len(lines) == 2
    assert all(line.items() >= operation.items() for line in lines)


def test_without_a_tracer_no_line_names_one(deployment: Deployment, output: Any) -> None:
    deployment.issue()
    assert "trace_id" not in output.text


def test_a_sampler_decides_for_the_whole_trace(deployment: Deployment) -> None:
    with collecting(sampling.ALWAYS_OFF) as spans:
        deployment.issue()
        assert spans.all() == []


class TestOverGrpc:
    def test_a_call(self, grpc_client: GrpcClient, spans: Collected) -> None:
        key = grpc_client.issue().key
        spans.clear()
        grpc_client.call("validate_key", key=key, sent=[("traceparent", TRACEPARENT)])
        operation, server = spans.all()
        assert (server.name, server.kind) == ("keyrail.v1.KeyService/ValidateKey", SpanKind.SERVER)
        assert is_within(operation, server)
        assert ids(server)["trace_id"] == TRACE
        assert told(server) == {
            "rpc.system": "grpc",
            "rpc.service": "keyrail.v1.KeyService",
            "rpc.method": "ValidateKey",
            "rpc.grpc.status_code": 0,
        }

    def test_a_refusal(self, grpc_client: GrpcClient, spans: Collected) -> None:
        grpc_client.refused("list_keys", by=None)
        server = spans.one("keyrail.v1.KeyService/ListKeys")
        assert told(server)["rpc.grpc.status_code"] == 16
        assert server.status.is_unset

    def test_a_fault_of_ours(self, grpc_client: GrpcClient, spans: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(grpc_client.deployment.services.keys, "find", unavailable)
        grpc_client.refused("get_key", key_id=UNKNOWN_ID)
        server = spans.one("keyrail.v1.KeyService/GetKey")
        assert (told(server)["rpc.grpc.status_code"], told(server)["error.type"]) == (14, "UNAVAILABLE")
        assert not server.status.is_unset

    def test_envoys_question_is_part_of_the_trace_of_its_clients_request(
        self, grpc_client: GrpcClient, spans: Collected
    ) -> None:
        check(grpc_client, bearer(grpc_client.issue().key) | {"traceparent": TRACEPARENT})
        server = spans.one(CHECK.lstrip("/"))
        assert ids(server)["trace_id"] == TRACE
        assert told(server)["rpc.grpc.status_code"] == 0

    def test_each_message_of_a_stream(self, grpc_client: GrpcClient, spans: Collected) -> None:
        request = keys_pb2.ValidateStreamRequest(id="1")
        stream: Any = grpc_client.channel.stream_stream("/keyrail.v1.KeyService/ValidateStream")
        answers = stream(iter([request.SerializeToString()] * 3), metadata=grpc_client.bearer(ADMIN), timeout=20)
        assert len(list(answers)) == 3
        servers = [span for span in spans.all() if span.name == "keyrail.v1.KeyService/ValidateStream"]
        assert [told(span)["rpc.grpc.status_code"] for span in servers] == [0, 0, 0]


def test_no_secret_in_any_span(deployment: Deployment, spans: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key, and wrong ones, in every place that could take one."""
    issued = deployment.issue(scopes=["ml:infer"])
    keys = [issued.key, deployment.admin, deployment.do("rotate", issued.key_id, {"grace_seconds": 60})["key"]]
    for sent in (*keys, "sk-Canary4711Canary4711"):
        for operation in OPERATIONS:
            deployment.call(operation, BODIES.get(operation), by=sent)
            deployment.call(operation, BODIES.get(operation), query=f"q={sent}")
            deployment.call(operation, BODIES.get(operation), path=f"/{sent}")
            deployment.call(operation, BODIES.get(operation), key_id=sent)
            deployment.call(operation, BODIES.get(operation), headers={"traceparent": sent, "tracestate": sent})
            deployment.call(operation, {"name": sent, sent: sent, "key": [sent]})
    monkeypatch.setattr(deployment.services.keys, "find", lambda _: _raise(ValueError(keys)))
    deployment.call("validate_key", {"key": issued.key})
    text = spans.text()
    assert len(spans.all()) > 500
    assert "Canary4711" not in text
    for key in keys:
        assert key.rpartition("_")[2][:SECRET_CHARS] not in text
        assert json.dumps(key)[1:-1] not in text


def _raise(error: Exception) -> Any:
    raise error
