"""A Lambda authorizer of API Gateway: REST APIs ask with a TOKEN or a REQUEST, HTTP APIs with payload 2.0 or 1.0.

The decision is every gateway's (gateway_decision.py); only its form is API Gateway's. A policy allows the one method
that was asked for. Shapes: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
and https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

import re
from functools import cache
from typing import Any

from keyrail.domain.access import Principal
from keyrail.domain.errors import Internal, InvalidArgument
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.judging import SCOPE, Questions
from keyrail.settings import Settings, load_settings
from keyrail.telemetry import choose_correlation_id
from keyrail.triggers import gateway_decision
from keyrail.triggers.dispatch import Call
from keyrail.triggers.gateway_decision import KEY_HEADERS, GatewayAnswer
from keyrail.triggers.lambda_http import Header, header_of, ip_of, own_id, part
from keyrail.triggers.questions import JUDGING
from keyrail.triggers.served import Served
from keyrail.triggers.strict_json import parse_object

_GATEWAY = Principal("iam:api-gateway", SYSTEM_TENANT, (SCOPE,))  # who may invoke an authorizer is IAM's to say
_PATTERN = re.compile(r"[*?]|\$\{")  # what a policy would not take as it stands
_NOBODY = "nobody"  # a policy must name somebody
_ANY_ROUTE = "*"
_TOLD = {"Deprecation": "deprecation", "Sunset": "sunset", "Retry-After": "retry_after"}


class Unauthorized(Exception):
    """401, by its text alone: API Gateway knows that word and no other."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class AuthorizerFailed(Exception):
    """500 at API Gateway, and nobody is let in: the store could not answer, or the settings are wrong."""


def is_authorizer_event(event: dict[str, Any]) -> bool:
    return event.get("type") in ("TOKEN", "REQUEST") and ("methodArn" in event or "routeArn" in event)


def authorize(served: Served, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Raises: AuthorizerFailed; Unauthorized where API Gateway's answer shall be 401."""
    try:
        header, arn = _header(event, own_id(context)), _arn(event)
    except InvalidArgument as error:
        served.unserved(own_id(context), error)
        raise AuthorizerFailed(error.code) from error
    chosen = choose_correlation_id(header("traceparent"), header("x-correlation-id"))
    call = Call(chosen, lambda: None, None, lambda: _asked(event, header), _GATEWAY)
    answer = gateway_decision.answer_to(served.outcome(JUDGING, call), chosen)
    if answer.status >= 500:
        raise AuthorizerFailed("UNAVAILABLE")
    if event.get("version") == "2.0" and _settings().authorizer_response == "simple":
        return {"isAuthorized": answer.status == 200, "context": _context(answer)}
    if answer.status == 401 and event.get("version") != "2.0":
        raise Unauthorized
    return _policy(answer, arn)


def _header(event: dict[str, Any], own: Header) -> Header:
    """Of a TOKEN there is one header: it is read as Authorization."""
    if event["type"] == "TOKEN":
        token = part(event, "authorizationToken", str)
        return lambda name: token if name == "authorization" else own(name)
    return header_of(event, own)


def _arn(event: dict[str, Any]) -> str:
    arn: str = part(event, "methodArn" if "methodArn" in event else "routeArn", str)
    return arn


def _asked(event: dict[str, Any], header: Header) -> Questions:
    presented = {name: text for name in KEY_HEADERS if (text := header(name)) is not None}
    ip = ip_of(part(event, "requestContext", dict, {}), header)
    return gateway_decision.asked(presented, ip, _needs(event))


# -- what a route needs ---------------------------------------------------------------------------------------------


@cache
def _settings() -> Settings:
    return load_settings()


def _needs(event: dict[str, Any]) -> dict[str, str]:
    """Raises: Internal where the routes are set and this one is not among them, so that nothing passes by mistake."""
    routes = _routes(_settings().authorizer_routes)
    if routes is None:
        return {}
    if event["type"] == "TOKEN" and routes.keys() != {_ANY_ROUTE}:
        raise Internal("settings: KEYRAIL_AUTHORIZER_ROUTES: a TOKEN does not tell its route; ask with REQUEST")
    needs = routes.get(_route(event), routes.get(_ANY_ROUTE))
    if needs is None:
        raise Internal("settings: KEYRAIL_AUTHORIZER_ROUTES: this route is not among them")
    return needs


def _route(event: dict[str, Any]) -> str:
    """As API Gateway's configuration names it, whatever the client's path looks like."""
    if "routeKey" in event:
        return str(event["routeKey"])
    return f"{event.get('httpMethod')} {event.get('resource')}"


@cache
def _routes(text: str | None) -> dict[str, dict[str, str]] | None:
    if text is None:
        return None
    try:
        routes = parse_object(text.encode())
    except InvalidArgument as error:
        raise Internal("settings: KEYRAIL_AUTHORIZER_ROUTES is no JSON object") from error
    for needs in routes.values():
        if not isinstance(needs, dict) or not all(isinstance(each, str) for each in needs.values()):
            raise Internal("settings: KEYRAIL_AUTHORIZER_ROUTES: each route takes an object of texts")
    return routes


# -- as API Gateway wants it ----------------------------------------------------------------------------------------


def _policy(answer: GatewayAnswer, arn: str) -> dict[str, Any]:
    """A client's path with a `*` in it must not make a policy for other paths: it is denied."""
    is_allowed = answer.status == 200 and _PATTERN.search(arn) is None
    effect = "Allow" if is_allowed else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": arn}
    context = _context(answer)
    return {
        "principalId": context.get("principal") or _NOBODY,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": context,
    }


def _context(answer: GatewayAnswer) -> dict[str, str]:
    """Texts, which is all that API Gateway takes: who it is, or the code of the refusal."""
    identity = {name.removeprefix("x-keyrail-").replace("-", "_"): value for name, value in answer.upstream.items()}
    told = {_TOLD[name]: value for name, value in answer.downstream.items() if name in _TOLD}
    code = answer.downstream.get("X-Keyrail-Code", "VALID")
    return identity | told | {"code": code}
