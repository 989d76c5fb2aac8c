"""/v1/authorize, which gateways ask over HTTP about each request (nginx, HAProxy, Traefik, Caddy). docs/gateways.md

The query of the URL that the gateway is configured to ask says what the route needs; a client has no part in it. The
client's own credential comes under its own names, the gateway's key in X-Keyrail-Gateway-Key, and the client's address
in X-Real-IP: all but the credential must be set by the gateway, whatever the client sent under these names.
"""

import re
from urllib.parse import unquote

from keyrail.domain.errors import InvalidArgument
from keyrail.judging import Questions
from keyrail.ports import Services
from keyrail.telemetry import choose_correlation_id
from keyrail.triggers import gateway_decision
from keyrail.triggers.dispatch import Call, dispatch
from keyrail.triggers.gateway_decision import KEY_HEADERS
from keyrail.triggers.http_exchange import HttpRoute, holds_key, pairs_of_query
from keyrail.triggers.http_messages import HttpReply, HttpRequest
from keyrail.triggers.questions import JUDGING

PATH = "/v1/authorize"
GATEWAY_KEY = "x-keyrail-gateway-key"
CLIENT_ADDRESS = "x-real-ip"


class ForwardAuth(HttpRoute):
    """Takes any method, since some gateways pass on the client's, and reads no body: it is not for us."""

    def __init__(self) -> None:
        super().__init__(JUDGING)
        self.path, self.route = PATH, re.compile(re.escape(PATH))

    def answered(self, request: HttpRequest, services: Services) -> HttpReply:
        correlation_id = choose_correlation_id(request.header("traceparent"), request.header("x-correlation-id"))
        call = Call(correlation_id, lambda: _gateways_key(request), request.ip, lambda: _asked(request))
        answer = gateway_decision.answer_to(dispatch(self.operation, call, services), correlation_id)
        told = {"Cache-Control": "no-store", "X-Correlation-ID": correlation_id, **answer.upstream, **answer.downstream}
        return HttpReply(answer.status, answer.body, told)


def _gateways_key(request: HttpRequest) -> str | None:
    """None also where the gateway sends an empty one, as some do that were given none.

    Raises: InvalidArgument on a key in the query, where servers log it."""
    if holds_key(unquote(request.query)):
        raise InvalidArgument("A key was sent in the URL. Rotate it.", code="KEY_IN_URL")
    return request.header(GATEWAY_KEY) or None


def _asked(request: HttpRequest) -> Questions:
    presented = {name: text for name in KEY_HEADERS if (text := request.header(name)) is not None}
    return gateway_decision.asked(presented, request.header(CLIENT_ADDRESS), pairs_of_query(request))
