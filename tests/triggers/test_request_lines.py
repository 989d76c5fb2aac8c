"""The log of requests: one line each, by which a client's question can be answered."""

import json
from typing import Any

import pytest
from deployment import OPERATIONS, UNKNOWN_ID, Deployment, unavailable

from keyrail.domain.errors import DeadlineExceeded
from keyrail.domain.key_format import KeyFormat, new_secret

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EVERY_OPERATION = pytest.mark.parametrize("operation", OPERATIONS)
BODIES: dict[str, Any] = {
    "issue_key": {"tenant": "acme", "owner": "o", "name": "n"},
    "import_key": {"tenant": "acme", "owner": "o", "name": "n", "sha256": "0" * 64},
    "validate_key": {"key": "x"},
    "update_key": {"name": "n"},
    "write_config": {"tenant": "acme", "value": 1},
}


def one_line(output: Any) -> dict[str, Any]:
    (line,) = output.lines("request")
    others = [*output.lines("audit"), *output.lines("sweep")]  # a sweep's report is one too
    assert len(output.text.splitlines()) == 1 + len(others)
    return dict(line)


@EVERY_OPERATION
def test_one_for_a_request_that_was_served(deployment: Deployment, output: Any, operation: str) -> None:
    key_id = deployment.issue().key_id
    if operation == "read_config":
        deployment.do("write_config", "", BODIES["write_config"])
    output.clear()
    query = {"tenant": "acme"} if operation == "read_config" else ""
    reply = deployment.call(operation, BODIES.get(operation), key_id=key_id, query=query)
    line = one_line(output)
    assert line["operation"] == operation
    assert line["code"] == (reply.json["code"] if operation == "validate_key" else "OK")
    assert line["level"] == "info"
    assert line["correlation_id"] == reply.headers["X-Correlation-ID"]
    assert line["actor"] == KeyFormat().parse(deployment.admin).key_id
    assert 0 <= line["ms"] < 5000
    if operation in ("issue_key", "import_key") or "{key_id}" in OPERATIONS[operation].path:
        assert line["key_id"] == reply.json["key_id"]


@EVERY_OPERATION
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"by": None}, "MISSING"),
        ({"by": "x"}, "MALFORMED"),
        ({"method": "DELETE"}, "METHOD_NOT_ALLOWED"),
        ({"path": "/nowhere"}, "NO_SUCH_ROUTE"),
        ({"query": "a=b&a=b"}, "MALFORMED_REQUEST"),
    ],
)
def test_one_for_a_request_that_was_refused(
    deployment: Deployment, output: Any, operation: str, message: dict[str, Any], code: str
) -> None:
    reply = deployment.call(operation, BODIES.get(operation), **message)
    line = one_line(output)
    assert (line["code"], line["correlation_id"]) == (code, reply.headers["X-Correlation-ID"])
    assert line["level"] == "info"  # the client's fault is not ours


@EVERY_OPERATION
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (unavailable, "UNAVAILABLE"),
        (lambda *_: _raise(DeadlineExceeded("read of a record")), "DEADLINE_EXCEEDED"),
        (lambda *_: _raise(ValueError("krl secret text")), "INTERNAL"),
    ],
)
def test_an_error_of_ours_tells_why_to_the_log_alone(
    deployment: Deployment, output: Any, monkeypatch: pytest.MonkeyPatch, operation: str, fault: Any, code: str
) -> None:
    monkeypatch.setattr(deployment.services.keys, "find", fault)
    reply = deployment.call(operation, BODIES.get(operation))
    (line,) = output.lines("request")
    assert (line["level"], line["code"], reply.json["code"]) == ("error", code, code)
    assert line["correlation_id"] == reply.json["correlation_id"]
    assert line["detail"] not in reply.text
    assert "krl secret text" not in output.text + reply.text  # an exception's own text may hold a value
    if code == "INTERNAL":
        (trace,) = output.lines("log")
        assert trace["exception"].startswith("ValueError at test_request_lines.py")
        assert trace["correlation_id"] == line["correlation_id"]


def _raise(error: Exception) -> Any:
    raise error


class TestCorrelationId:
    @pytest.mark.parametrize("given", ["my-request-1", "a.b_c-d8", "A" * 64])
    def test_a_clients_own_is_kept(self, deployment: Deployment, output: Any, given: str) -> None:
        reply = deployment.call("list_keys", headers={"X-Correlation-ID": given})
        assert reply.headers["X-Correlation-ID"] == one_line(output)["correlation_id"] == given

    def test_a_traces_goes_before_it(self, deployment: Deployment, output: Any) -> None:
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Correlation-ID": "my-request-1"}
        reply = deployment.call("list_keys", headers=headers)
        assert reply.headers["X-Correlation-ID"] == one_line(output)["correlation_id"] == TRACE

    @pytest.mark.parametrize(
        "given", ["", "short", "A" * 65, "with a space", "é" * 8, '"};drop', "-leading", "x" * 10_000]
    )
    def test_another_is_made_where_it_is_none(self, deployment: Deployment, output: Any, given: str) -> None:
        reply = deployment.call("list_keys", headers={"X-Correlation-ID": given})
        assert reply.headers["X-Correlation-ID"] == one_line(output)["correlation_id"] != given
        assert len(one_line(output)["correlation_id"]) == 32


class TestValidations:
    def test_the_log_tells_what_not_found_hides(self, deployment: Deployment, output: Any) -> None:
        issued, form = deployment.issue(), KeyFormat()
        keys = {
            "unknown_id": (form.assemble(UNKNOWN_ID, new_secret()), UNKNOWN_ID),
            "wrong_secret": (form.assemble(issued.key_id, new_secret()), issued.key_id),
            "other_tenant": (issued.key, issued.key_id),
        }
        for reason, (key, key_id) in keys.items():
            output.clear()
            deployment.call("validate_key", {"key": key, "tenant": "globex"})
            line = one_line(output)
            if reason == "wrong_secret":
                assert line["reason"] == reason
            assert (line["code"], line["reason"], line["key_id"]) == ("NOT_FOUND", reason, key_id)

    def test_a_batch_is_one_line_with_its_counts(self, deployment: Deployment, output: Any) -> None:
        key = deployment.issue().key
        output.clear()
        deployment.call("validate_key", {"batch": [{"key": key}, {"key": "x"}, {"key": key}]})
        line = one_line(output)
        assert (line["batch"], line["valid"], line["code"]) == (3, 2, "MALFORMED")


def test_probes_write_no_line(deployment: Deployment, output: Any) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        deployment.call("list_keys", path=path)
    assert output.text == ""


def test_a_line_is_one_line_whatever_is_sent(deployment: Deployment, output: Any) -> None:
    deployment.issue(name="a\u2028b", owner="é")
    deployment.call("issue_key", path="/v1/keys%0a%0d{}", by="x\\n")
    for line in output.text.splitlines():
        assert isinstance(json.loads(line), dict)
        assert line.isascii()
