"""Schemathesis takes docs/openapi.yaml at its word: every check it has, on the seven functions over a memory store.

It draws requests from the document, right and wrong ones, and sequences of them along the document's links.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import functions_framework
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from first_admin import make_admin
from keyrail import bootstrap
from keyrail.dev.functions import find_functions, function_of_operation
from keyrail.operations.catalogue import CATALOGUE
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.settings import load_settings

SETTINGS = {
    "KEYRAIL_STORE": "memory",
    "KEYRAIL_FEED_POLL": "inline",
    "KEYRAIL_FEED_POLL_SECONDS": "0.001",
    "KEYRAIL_IMPORTED_PREFIXES": "sk-",
}
KEYS = count()
FIXED = {
    "derandomize": True,  # the same requests in every run
    "database": None,
    "deadline": None,
    "suppress_health_check": [*HealthCheck],
}

BEYOND_THE_DOCUMENT = re.compile(  # what JSON Schema can't say of a request that it calls valid
    r"BAD_CURSOR|UNKNOWN_ROLE|ETAG_MISMATCH|INVALID_ARGUMENT|NOT_IMPORTABLE|LIFETIME_TOO_LONG"
    r"|A scope expression .*"
    r"|must be an IPv4 or IPv6 network without host bits, like 10.0.0.0/8"
    r"|has more than 4096 bytes as JSON"
    r"|is no time that there is, or out of range"
    r"|grace_seconds is greater than max_grace_seconds"
)

FUNCTIONS = find_functions(Path("functions"))
FUNCTION_OF = function_of_operation(FUNCTIONS)

load_all_checks()
EVERY_CHECK = CHECKS.get_all()
(POSITIVE_DATA_ACCEPTANCE,) = CHECKS.get_by_names(["positive_data_acceptance"])


@cache
def function(operation: str) -> Callable[..., Iterable[bytes]]:
    app = functions_framework.create_app("handler", str(FUNCTIONS[FUNCTION_OF[operation]]), "http")
    return app.wsgi_app  # type: ignore[no-any-return]


def gateway(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """To the function of this path and method, as any gateway does; of a wrong method the path's own one is asked,
    and every method of the path is named in its Allow."""
    offered = [operation for operation in CATALOGUE if _route(operation).fullmatch(environ["PATH_INFO"])]
    chosen = [operation for operation in offered if operation.method == environ["REQUEST_METHOD"]]
    methods = ", ".join(operation.method for operation in offered)

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        told = [(name, methods if name == "Allow" else value) for name, value in headers]
        return start_response(status, told, *more)

    return function((chosen or offered or CATALOGUE)[0].name)(environ, start)


@cache
def _route(operation: Operation) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", r"(?!(?:validate|import)$)[^/]+", operation.path))


schema = schemathesis.openapi.from_dict(yaml.safe_load(Path("docs/openapi.yaml").read_text(encoding="utf-8")))
schema.app = gateway
schema.config.generation.with_security_parameters = False  # the caller's key is real; ignored_auth leaves it out


@schema.hook
def map_body(_context: Any, body: Any) -> Any:
    """JSON Schema counts 60.0 among the integers; we take an integer only where it is written as one."""
    match body:
        case float() if body.is_integer():
            return int(body)
        case list():
            return [map_body(_context, each) for each in body]
        case dict():
            return {name: map_body(_context, each) for name, each in body.items()}
    return body


@pytest.fixture(scope="module", autouse=True)
def services() -> Iterator[Services]:
    built = bootstrap.build_services(load_settings(SETTINGS))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bootstrap, "_built", (os.getpid(), built))
        yield built


def as_admin(services: Services) -> dict[str, str]:
    """The headers of a caller who may do everything: a new one, since the last one may have been revoked by now."""
    return {"Authorization": f"Bearer {make_admin(services)}"}


def validate(case: schemathesis.Case, response: schemathesis.Response, caller: dict[str, str]) -> None:
    excused = [POSITIVE_DATA_ACCEPTANCE] if is_beyond_the_document(response) else []
    case.validate_response(response, checks=EVERY_CHECK, excluded_checks=excused, headers=caller)


def is_beyond_the_document(response: schemathesis.Response) -> bool:
    if response.status_code not in (412, 422):
        return False
    problem = response.json()
    said = [error["problem"] for error in problem.get("errors", ())] or [problem["code"]]
    return all(BEYOND_THE_DOCUMENT.fullmatch(each) for each in said)


def make_it_succeed(case: schemathesis.Case) -> None:
    """A request that is right by the document may ask for what this deployment has not; here it does not."""
    match case.operation.definition.raw["operationId"], case.body:
        case "issue_key" | "import_key" as operation, dict(body):
            for name in ("roles", "context", "expires_at", "not_before", "lifetime_seconds", "rotation"):
                body.pop(name, None)
            body["tenant"] = "acme"
            if operation == "import_key":
                body.pop("key", None)
                body["sha256"] = f"{next(KEYS):064x}"  # each import is one of a new key, as each issue is
        case "update_key", _:
            (case.headers or {}).pop("If-Match", None)


def test_all_checks_are_used() -> None:
    assert len(EVERY_CHECK) >= 14


def test_the_command_line_finds_the_same_caller_accepted() -> None:
    """schemathesis.toml is for whoever runs `st` by hand."""
    by_hand = SchemathesisConfig.from_path("schemathesis.toml").projects.default
    assert by_hand.generation.with_security_parameters is False
    assert {"412", "422"} < set(by_hand.checks.positive_data_acceptance.expected_statuses)


@schema.parametrize()
@settings(max_examples=25, **FIXED)
def test_one_request(case: schemathesis.Case, services: Services) -> None:
    caller = as_admin(services)
    validate(case, case.call(headers=caller), caller)


def test_a_validation_of_keys_that_are_there(services: Services) -> None:
    """No request that is drawn holds one."""
    caller = as_admin(services)
    key = caller["Authorization"].removeprefix("Bearer ")
    batch = {"batch": [{"key": key, "required_scopes": "a:b"}, {"key": "x"}]}
    for body in ({"key": key, "ip": "10.0.0.1", "audience": "inference"}, batch):
        case = schema["/v1/keys/validate"]["POST"].Case(body=body, media_type="application/json")
        response = case.call(headers=caller)
        assert "VALID" in response.text
        validate(case, response, caller)


def test_sequences(services: Services) -> None:
    """Issue or import, and then whatever the links lead to: get, rotate, update, revoke, in any order."""

    class Life(schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            self.caller = as_admin(services)

        def before_call(self, case: schemathesis.Case) -> None:
            if case.meta is None or case.meta.generation.mode.is_positive:
                make_it_succeed(case)

        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            return {"headers": self.caller}

        def validate_response(self, response: Any, case: schemathesis.Case, **_: Any) -> None:
            validate(case, response, self.caller)

    Life.run(settings=settings(max_examples=25, stateful_step_count=8, **FIXED))
