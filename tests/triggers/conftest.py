"""One fresh deployment a test; the functions themselves are loaded once, as functions-framework loads them."""

import io
import logging
import os
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import functions_framework
import pytest
from deployment import SETTINGS, Client, Deployment, MovedClock
from flask.testing import FlaskClient
from grpc_client import GrpcClient, serving
from lambda_client import SHAPES, LambdaClient
from process_output import Output

from keyrail import bootstrap
from keyrail.dev.functions import find_functions, function_of_operation
from keyrail.settings import load_settings
from keyrail.telemetry import JsonFormatter, LineHandler, audit_logger, configure_logging

THROUGH_LAMBDA_TOO = {  # test files whose every test is also driven through each of Lambda's callers
    "test_caller_outcomes",
    "test_not_found_tells_nothing",
    "test_possession",
    "test_refused_credentials",
    "test_retiring_headers",
    "test_rotate",
    "test_validate_batch",
    "test_validate_outcomes",
}
FUNCTIONS_FRAMEWORK = "functions_framework"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__ in THROUGH_LAMBDA_TOO and "called_by" in metafunc.fixturenames:
        metafunc.parametrize("called_by", [FUNCTIONS_FRAMEWORK, *SHAPES], indirect=True)


@pytest.fixture
def called_by(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", FUNCTIONS_FRAMEWORK))


@pytest.fixture(scope="session")
def client_of() -> Callable[[str], FlaskClient]:
    mains = find_functions(Path("functions"))
    functions = function_of_operation(mains)

    @cache
    def client(function: str) -> FlaskClient:
        app = functions_framework.create_app("handler", str(mains[function]), "http")
        return app.test_client()  # type: ignore[no-any-return]

    return lambda operation: client(functions[operation])


@pytest.fixture
def settings() -> dict[str, str]:
    """Overridden by whoever wants others."""
    return SETTINGS


@pytest.fixture
def deployment(
    monkeypatch: pytest.MonkeyPatch, client_of: Callable[[str], Client], settings: dict[str, str], called_by: str
) -> Deployment:
    clock = MovedClock()
    monkeypatch.setattr(bootstrap, "SystemClock", lambda: clock)
    services = bootstrap.build_services(load_settings(settings))
    monkeypatch.setattr(bootstrap, "_built", (os.getpid(), services))
    if called_by != FUNCTIONS_FRAMEWORK:
        client_of = partial(LambdaClient, called_by)
    return Deployment(services, clock, client_of)


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    root = logging.getLogger()
    loggers = [root, logging.getLogger("keyrail"), audit_logger]
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    configure_logging()
    log = io.StringIO()  # capsys has another stream for each phase of a test
    root.handlers[0] = LineHandler(log)
    root.handlers[0].setFormatter(JsonFormatter())
    yield Output(log, capsys)
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def grpc_client(deployment: Deployment) -> Iterator[GrpcClient]:
    with serving(deployment) as client:
        yield client
