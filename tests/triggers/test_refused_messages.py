"""Messages whose head, size or address is wrong, whatever their body says."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from deployment import CONFIG, OPERATIONS, UNKNOWN_ID, Deployment
from refusals import BODIES, TAKING_A_BODY, is_problem, refused, sent_as

from keyrail.dev.functions import find_functions, function_of_operation

KIB = 1024
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X"]
WITHOUT_A_BODY = [name for name in OPERATIONS if name not in BODIES]
EVERY_OPERATION = pytest.mark.parametrize("operation", OPERATIONS)


def padded(size: int) -> bytes:
    body = json.dumps(BODIES["issue_key"]).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


def chunked(body: bytes) -> dict[str, Any]:
    """As gunicorn hands on a body with Transfer-Encoding: chunked, so without a length."""
    return {
        "input_stream": io.BytesIO(body),
        "content_type": "application/json",
        "environ_overrides": {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    }


class TestSize:
    @pytest.mark.parametrize("form", [sent_as, chunked])
    def test_64_kib_exactly_is_fine(self, deployment: Deployment, form: Any) -> None:
        assert deployment.call("issue_key", **form(padded(64 * KIB))).status_code == 201

    @pytest.mark.parametrize("form", [sent_as, chunked])
    @pytest.mark.parametrize("size", [64 * KIB + 1, 10 * KIB * KIB], ids=["one more", "10 MiB"])
    def test_more_is_refused(self, deployment: Deployment, form: Any, size: int) -> None:
        refused(deployment, "issue_key", 413, "BODY_TOO_LARGE", **form(padded(size)))

    def test_a_length_that_lies_is_not_read(self, deployment: Deployment) -> None:
        """A terabyte announced, and nothing of it sent."""
        announced = {"input_stream": io.BytesIO(b"{}"), "environ_overrides": {"CONTENT_LENGTH": str(10**12)}}
        refused(deployment, "issue_key", 413, "BODY_TOO_LARGE", content_type="application/json", **announced)

    @pytest.mark.parametrize("length", ["many", "-1", "1.5", "0x10", "+5"])
    def test_a_length_that_is_no_number_is_refused(self, deployment: Deployment, length: str) -> None:
        wrong = {"input_stream": io.BytesIO(padded(100)), "environ_overrides": {"CONTENT_LENGTH": length}}
        refused(deployment, "issue_key", 400, "MALFORMED_REQUEST", content_type="application/json", **wrong)

    def test_a_body_that_is_cut_is_refused(self, deployment: Deployment) -> None:
        cut = {"input_stream": io.BytesIO(padded(100)), "environ_overrides": {"CONTENT_LENGTH": "101"}}
        refused(deployment, "issue_key", 400, "MALFORMED_REQUEST", content_type="application/json", **cut)

    @pytest.mark.parametrize("operation", TAKING_A_BODY)
    def test_all_operations_have_the_bound(self, deployment: Deployment, operation: str) -> None:
        refused(deployment, operation, 413, "BODY_TOO_LARGE", **sent_as(b" " * (64 * KIB + 1)))


class TestMethod:
    @EVERY_OPERATION
    @pytest.mark.parametrize("method", METHODS)
    def test_another_one_is_refused_and_told_the_right_one(
        self, deployment: Deployment, operation: str, method: str
    ) -> None:
        right = OPERATIONS[operation].method
        if method == right:
            return
        reply = deployment.call(operation, key_id=UNKNOWN_ID, method=method)
        assert (reply.status_code, reply.headers["Allow"]) == (405, right)
        if method == "HEAD":
            assert reply.data == b""
        else:
            is_problem(reply, 405, "METHOD_NOT_ALLOWED")

    @EVERY_OPERATION
    @pytest.mark.parametrize("method", METHODS)
    def test_at_a_bare_url_post_is_taken_too(self, deployment: Deployment, operation: str, method: str) -> None:
        right = {OPERATIONS[operation].method, "POST"}
        reply = deployment.call(operation, path="/", method=method)
        assert (reply.status_code == 405) == (method not in right)
        if reply.status_code == 405:
            assert set(reply.headers["Allow"].split(", ")) == right

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    @pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
    def test_probes_are_read_only(self, deployment: Deployment, path: str, method: str) -> None:
        reply = deployment.call("issue_key", path=path, method=method)
        assert reply.headers["Allow"] == "GET, HEAD"
        is_problem(reply, 405, "METHOD_NOT_ALLOWED")


class TestRoute:
    @EVERY_OPERATION
    @pytest.mark.parametrize(
        "path", ["/v2/keys", "/v1", "/v1/keys/", "/v1/keys//", "/v1/keys/a/b/c", "/V1/KEYS", "/v1/keys/x/rotate/", "/x"]
    )
    def test_another_one_is_not_served(self, deployment: Deployment, operation: str, path: str) -> None:
        refused(deployment, operation, 404, "NO_SUCH_ROUTE", path=path)

    @EVERY_OPERATION
    def test_those_of_the_others_are_not_served(self, deployment: Deployment, operation: str) -> None:
        functions = function_of_operation(find_functions(Path("functions")))
        served = [other for name, other in OPERATIONS.items() if functions[name] == functions[operation]]
        for other in OPERATIONS.values():
            path = other.path.replace("{key_id}", "0" * 15).replace("{name}", CONFIG)
            if not any(_matches(each.path, path) for each in served):
                refused(deployment, operation, 404, "NO_SUCH_ROUTE", path=path, method=other.method)

    @pytest.mark.parametrize(
        "key_id", ["x", "0" * 15, "0" * 17, "0" * 16 + "%09", "%2e%2e", "..%5c", "0" * 15 + "_", "%00" * 16, "é" * 16]
    )
    @pytest.mark.parametrize("operation", ["get_key", "rotate", "revoke_key", "update_key"])
    def test_what_is_no_key_id_is_refused(self, deployment: Deployment, operation: str, key_id: str) -> None:
        reply = refused(deployment, operation, 422, "INVALID_FIELD", key_id=key_id)
        assert "key_id" in {error["field"] for error in reply.json["errors"]}

    @EVERY_OPERATION
    @pytest.mark.parametrize("path", ["/v1/keys/" + "0" * 15 + "%0A", "/%0A", "/robots.txt", "/favicon.ico"])
    def test_what_the_framework_would_answer_itself_is_answered_by_us(
        self, deployment: Deployment, operation: str, path: str
    ) -> None:
        reply = deployment.call(operation, path=path)
        assert reply.status_code in (404, 405, 422)
        is_problem(reply, reply.status_code, reply.json["code"])

    def test_a_slash_in_a_key_id_is_another_route(self, deployment: Deployment) -> None:
        refused(deployment, "get_key", 404, "NO_SUCH_ROUTE", key_id="a%2fb")


def _matches(template: str, path: str) -> bool:
    if template.endswith("/{name}"):
        return path.startswith(template.removesuffix("{name}"))
    parts, found = template.split("/"), path.split("/")
    return len(parts) == len(found) and all(a == b or a == "{key_id}" for a, b in zip(parts, found, strict=True))


class TestContentType:
    @pytest.mark.parametrize("operation", TAKING_A_BODY)
    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "",
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/json-patch+json",
            "application/jsonp",
            "application/json; charset=iso-8859-1",
            "application/json; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json, text/plain",
            "application/json;",
            "*/*",
        ],
    )
    def test_another_one_is_refused(self, deployment: Deployment, operation: str, content_type: str | None) -> None:
        sent = sent_as(json.dumps(BODIES[operation]), content_type)
        refused(deployment, operation, 415, "UNSUPPORTED_MEDIA_TYPE", **sent)

    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json",
            "APPLICATION/JSON",
            " application/json ",
            "application/json; charset=utf-8",
            'application/json;charset="UTF-8"',
        ],
    )
    def test_json_in_utf_8_is_taken(self, deployment: Deployment, content_type: str) -> None:
        sent = sent_as(json.dumps(BODIES["issue_key"]), content_type)
        assert deployment.call("issue_key", **sent).status_code == 201

    @pytest.mark.parametrize("operation", TAKING_A_BODY)
    def test_a_merge_patch_is_for_a_patch(self, deployment: Deployment, operation: str) -> None:
        sent = sent_as(json.dumps(BODIES[operation]), "application/merge-patch+json")
        if operation == "update_key":
            assert deployment.call(operation, key_id=deployment.issue().key_id, **sent).status_code == 200
        else:
            refused(deployment, operation, 415, "UNSUPPORTED_MEDIA_TYPE", **sent)

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
    def test_a_coded_body_is_refused(self, deployment: Deployment, coding: str) -> None:
        headers = {"Content-Encoding": coding}
        refused(deployment, "issue_key", 415, "UNSUPPORTED_MEDIA_TYPE", headers=headers)


class TestQuery:
    @pytest.mark.parametrize("operation", TAKING_A_BODY)
    @pytest.mark.parametrize("query", ["a=b", "a", "name=b", "=", "&"])
    def test_none_where_there_is_a_body(self, deployment: Deployment, operation: str, query: str) -> None:
        refused(deployment, operation, 400, "MALFORMED_REQUEST", query=query)

    @pytest.mark.parametrize(
        "query", ["owner=a&owner=b", "owner=a&owner=a", "owner", "&&", "owner=%FF", "owner=%ED%A0%80", "a=b;c"]
    )
    def test_a_malformed_one_is_refused(self, deployment: Deployment, query: str) -> None:
        status, code = (422, "INVALID_FIELD") if ";" in query else (400, "MALFORMED_REQUEST")
        refused(deployment, "list_keys", status, code, query=query)

    @pytest.mark.parametrize("query", ["colour=red", "owner=%00", "owner=a%20b", "state=alive", "tenant=", "owner="])
    def test_a_wrong_or_unknown_field_is_refused(self, deployment: Deployment, query: str) -> None:
        refused(deployment, "list_keys", 422, "INVALID_FIELD", query=query)

    def test_get_key_has_no_fields_there(self, deployment: Deployment) -> None:
        refused(deployment, "get_key", 422, "INVALID_FIELD", query="verbose=1")


@pytest.mark.parametrize("operation", WITHOUT_A_BODY)
@pytest.mark.parametrize("body", [b"{}", b"x", b"[" * 70_000])
@pytest.mark.parametrize("form", [sent_as, chunked])
def test_a_get_with_a_body_is_refused(deployment: Deployment, operation: str, body: bytes, form: Any) -> None:
    status, code = (413, "BODY_TOO_LARGE") if len(body) > 64 * KIB else (400, "MALFORMED_REQUEST")
    refused(deployment, operation, status, code, **form(body))


class TestTheSameFieldTwice:
    OTHER = "1" * 16

    @pytest.mark.parametrize("operation", ["rotate", "revoke_key", "update_key"])
    @pytest.mark.parametrize("other", [OTHER, 1, None, ""])
    def test_the_key_id_of_the_path_is_not_overruled(
        self, deployment: Deployment, operation: str, other: object
    ) -> None:
        refused(deployment, operation, 400, "MALFORMED_REQUEST", body=BODIES[operation] | {"key_id": other})

    def test_nor_that_of_a_query(self, deployment: Deployment) -> None:
        refused(deployment, "get_key", 400, "MALFORMED_REQUEST", query={"key_id": self.OTHER})

    def test_nor_a_header(self, deployment: Deployment) -> None:
        body, headers = BODIES["update_key"] | {"if_match": '"1"'}, {"If-Match": '"2"'}
        refused(deployment, "update_key", 400, "MALFORMED_REQUEST", body=body, headers=headers)

    @pytest.mark.parametrize("operation", ["rotate", "revoke_key", "update_key"])
    def test_twice_the_same_is_once(self, deployment: Deployment, operation: str) -> None:
        key_id = deployment.issue().key_id
        deployment.do(operation, key_id, BODIES[operation] | {"key_id": key_id})


class TestBareUrl:
    """Behind a bare function URL the fields of the path come in the body, or in the query of a GET."""

    @pytest.mark.parametrize("operation", ["rotate", "revoke_key", "update_key", "get_key"])
    def test_the_key_id_comes_in_the_body(self, deployment: Deployment, operation: str) -> None:
        key_id = deployment.issue().key_id
        body = BODIES.get(operation, {}) | {"key_id": key_id}
        reply = deployment.call(operation, path="/", method="POST", json=body)
        assert (reply.status_code, reply.json["key_id"]) == (200, key_id)

    def test_or_in_the_query_of_a_get(self, deployment: Deployment) -> None:
        key_id = deployment.issue().key_id
        assert deployment.call("get_key", path="/", query={"key_id": key_id}).json["key_id"] == key_id

    def test_a_list_takes_typed_fields_there(self, deployment: Deployment) -> None:
        fine = deployment.call("list_keys", path="/", method="POST", json={"tenant": "acme", "limit": 5})
        assert fine.json == {"keys": []}
        text = deployment.call("list_keys", path="/", method="POST", json={"tenant": "acme", "limit": "5"})
        is_problem(text, 422, "INVALID_FIELD")

    @pytest.mark.parametrize("operation", ["rotate", "revoke_key", "update_key", "get_key"])
    def test_without_it_there_is_nothing_to_do(self, deployment: Deployment, operation: str) -> None:
        reply = deployment.call(operation, path="/", method="POST", json=BODIES.get(operation, {}))
        is_problem(reply, 422, "INVALID_FIELD")
