"""Envoy's external authorization, envoy.service.auth.v3 over gRPC. docs/gateways.md "Envoy"

Envoy is the caller: by its own key in `initial_metadata`, or its client certificate. Where we can't decide, or Envoy
itself is refused, the request is refused with 503: that is no fault of its client.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.rpc import code_pb2

from keyrail.envoy import auth_pb2, core_pb2
from keyrail.judging import Judged
from keyrail.triggers import gateway_decision
from keyrail.triggers.gateway_decision import GatewayAnswer
from keyrail.triggers.grpc_answers import Answers
from keyrail.triggers.grpc_api import Handlers
from keyrail.triggers.grpc_calls import Head, Serving

MOST_SETS = 16  # of names, for one answer: clients of one key are few kinds of program
SERVICE = "envoy.service.auth.v3.Authorization"
_RPC = f"{SERVICE}/Check"
_OVERWRITE = core_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def handlers(serving: Serving) -> Handlers:
    check: Any = Check(serving)
    method = grpc.unary_unary_rpc_method_handler(check, auth_pb2.CheckRequest.FromString)
    return {SERVICE: {"Check": method}}


class Check:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._answers = Answers(serving.services, _Pass)

    def __call__(self, request: Any, context: grpc.ServicerContext) -> bytes:
        attributes = request.attributes
        headers, configured = attributes.request.http.headers, dict(attributes.context_extensions)
        remove_key = configured.pop("remove_key", None) == "true"
        ip = attributes.source.address.socket_address.address or None
        head = Head(context, self._serving, _RPC, _trace_of(headers))
        presented = [headers.get(name) for name in gateway_decision.KEY_HEADERS]
        asked = repr((presented, ip, configured)).encode()
        parse = lambda: gateway_decision.asked(headers, ip, configured)  # noqa: E731
        told = self._answers.ask(head, asked, parse, replies_with_errors=True)
        if told.reply is None:
            return _bytes(gateway_decision.answer_to(told.outcome, head.correlation_id))
        return told.reply.to(headers, remove_key=remove_key)


class _Pass:
    """The response to who passes, made once for each set of headers' names."""

    def __init__(self, judged: Judged) -> None:
        self._identity = gateway_decision.identity_of(judged.decisions[0])
        self._made: dict[tuple[bool, tuple[str, ...]], bytes] = {}

    def to(self, headers: Iterable[str], *, remove_key: bool) -> bytes:
        names = tuple(headers)
        made = self._made.get((remove_key, names))
        if made is None:
            made = _bytes(gateway_decision.passed(self._identity, names, remove_key=remove_key))
            if len(self._made) < MOST_SETS:
                self._made[remove_key, names] = made
        return made


def _trace_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The client's request and this question about it have one correlation id."""
    return {name: headers[name] for name in ("traceparent", "tracestate", "x-correlation-id") if name in headers}


def _bytes(answer: GatewayAnswer) -> bytes:
    data: bytes = _response(answer).SerializeToString()
    return data


def _response(answer: GatewayAnswer) -> Any:
    response: Any = auth_pb2.CheckResponse()
    if answer.status == 200:
        _put(response.ok_response.headers, answer.upstream)
        response.ok_response.headers_to_remove.extend(answer.removed)
        _put(response.ok_response.response_headers_to_add, answer.downstream)
        response.status.code = code_pb2.OK
        return response
    response.status.code = code_pb2.PERMISSION_DENIED
    response.denied_response.status.code = answer.status
    _put(response.denied_response.headers, answer.downstream)
    response.denied_response.body = answer.body.decode()
    return response


def _put(options: Any, headers: Any) -> None:
    for name, value in headers.items():
        option = options.add(append_action=_OVERWRITE)
        option.header.key, option.header.value = name, value
