"""One fresh deployment a test; the functions themselves are loaded once, as functions-framework loads them."""

import io
import logging
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import functions_framework
import pytest
from deployment import SETTINGS, Deployment, MovedClock
from flask.testing import FlaskClient
from grpc_client import GrpcClient, serving
from process_output import Output

from keyrail import bootstrap
from keyrail.dev.functions import find_functions, function_of_operation
from keyrail.settings import load_settings
from keyrail.telemetry import JsonFormatter, audit_logger, configure_logging


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
    monkeypatch: pytest.MonkeyPatch, client_of: Callable[[str], FlaskClient], settings: dict[str, str]
) -> Deployment:
    clock = MovedClock()
    monkeypatch.setattr(bootstrap, "SystemClock", lambda: clock)
    services = bootstrap.build_services(load_settings(settings))
    monkeypatch.setattr(bootstrap, "_built", (os.getpid(), services))
    return Deployment(services, clock, client_of)


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    root = logging.getLogger()
    loggers = [root, logging.getLogger("keyrail"), audit_logger]
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    configure_logging()
    log = io.StringIO()  # capsys has another stream for each phase of a test
    root.handlers[0] = logging.StreamHandler(log)
    root.handlers[0].setFormatter(JsonFormatter())
    yield Output(log, capsys)
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def grpc_client(deployment: Deployment) -> Iterator[GrpcClient]:
    with serving(deployment) as client:
        yield client
