"""What make dist writes: the same bytes each time, small, and in a clean folder under AWS's own runtime client, on each
Python of Lambda's, the decisions of every other way of asking."""

import hashlib
import json
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from canary import Canary
from deployed import Deployment
from gateway_vectors import NEEDS, STATUS, Row, States, wait_until_expired
from http_api import Api
from lambda_world import FUNCTIONS, Zips, make_dist

from keyrail.dev.dist import ARCHITECTURES, PYTHONS
from keyrail.dev.lambda_runtime import Lambda, LambdaError
from keyrail.dev.openbao import OpenBao

MAX_BYTES = 12_000_000  # of the zip of validate_key
MANAGEMENT = ("issue_key", "rotate", "revoke_key", "update_key")
EVENTS = Path(__file__).parents[1] / "triggers/lambda_events"
ROUTES = {f"GET {path}": needs for path, needs in NEEDS.items()}
REQUESTS = ("authorizer_http_api", "authorizer_payload_1", "authorizer_request")


def recorded(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@pytest.fixture(scope="module")
def world(openbao: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(openbao, tmp_path_factory.mktemp("lambdas"), canary)
    try:
        made.start(*MANAGEMENT, "validate_key")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def rows(world: Deployment) -> list[Row]:
    """Limits are not yet used up where the Lambda counts."""
    made = States(world.api).rows()
    wait_until_expired()
    return made


@pytest.fixture(scope="module", params=PYTHONS)
def validator(request: pytest.FixtureRequest, zips: Zips, world: Deployment) -> Iterator[Lambda]:
    env = world.environment("validate_key") | {"KEYRAIL_AUTHORIZER_ROUTES": json.dumps(ROUTES)}
    with zips.running("validate_key", request.param, env) as instance:
        yield instance
        world.canary.search("the log of a Lambda", instance.process.log.read_text())


# -- the bundles ----------------------------------------------------------------------------------------------------


def test_a_second_run_writes_the_same_bytes(zips: Zips, tmp_path: Path) -> None:
    make_dist(tmp_path)
    assert digests(tmp_path) == digests(zips.dist)
    assert len(digests(tmp_path)) == len(FUNCTIONS) * (len(ARCHITECTURES) + 3)


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_zip_holds_what_its_function_imports_for_that_machine_and_nothing_else(zips: Zips, arch: str) -> None:
    archive = zips.dist / f"validate_key-{arch}.zip"
    assert archive.stat().st_size < MAX_BYTES
    names = zipfile.ZipFile(archive).namelist()
    assert {"main.py", "keyrail/operations/validate_key.py"} <= set(names)
    unwanted = ("flask", "functions_framework", "werkzeug", "grpc", "jwt", "jsonschema", "click", "prometheus_client")
    assert not [name for name in names if name.startswith((*unwanted, "keyrail/dev", "keyrail/v1", "keyrail/envoy"))]
    assert not [name for name in names if name.startswith("keyrail/operations/rotate")]
    native = [name for name in names if name.endswith(".so") and "pydantic_core" in name]
    assert len(native) == len(PYTHONS)
    assert all(ARCHITECTURES[arch] in name for name in native)
    for python in PYTHONS:
        tag = f"cpython-{python.replace('.', '')}"
        sources = {name for name in names if name.endswith(".py")}
        compiled = {name for name in names if name.endswith(f".{tag}.pyc")}
        assert len(compiled) == len(sources)


def test_the_rotator_has_what_only_it_needs(zips: Zips) -> None:
    names = zipfile.ZipFile(zips.dist / "rotate-x86_64.zip").namelist()
    assert {"jwt/__init__.py", "jsonschema/__init__.py", "keyrail/operations/sweep.py"} <= set(names)


# -- the vectors ----------------------------------------------------------------------------------------------------


def test_the_authorizer_decides_as_every_gateway_does(validator: Lambda, rows: list[Row]) -> None:
    """Limits are used up once, by whoever asks first."""
    for key in {row.key: row for row in rows if row.name.startswith("used up")}.values():
        authorized(validator, "authorizer_http_api", key)
    wrong = [
        f"{shape}: {row.name}: {got} instead of {row.code}"
        for shape in REQUESTS
        for row in rows
        if not is_as_expected(row, got := authorized(validator, shape, row))
    ]
    assert wrong == []


def authorized(validator: Lambda, shape: str, row: Row) -> str:
    """A code; where API Gateway is told no code, the status."""
    event = recorded(shape)
    joined: dict[str, list[str]] = {}
    for name, value in row.headers:
        joined.setdefault(name, []).append(value)
    if "multiValueHeaders" in event:
        event["multiValueHeaders"] |= joined
        event["headers"] |= dict(row.headers)
    else:
        event["headers"] |= {name: ",".join(values) for name, values in joined.items()}
    event |= {"routeKey": f"GET {row.path}"} if "routeArn" in event else {"resource": row.path}
    _place(event["requestContext"])["sourceIp"] = "127.0.0.1"
    try:
        answer = validator.invoke(event)
    except LambdaError as error:
        return "401" if error.kind == str(error) == "Unauthorized" else f"{error.kind}: {error}"
    return told(answer, event.get("methodArn"), row)


def _place(context: dict[str, Any]) -> dict[str, Any]:
    place: dict[str, Any] = context["http" if "http" in context else "identity"]
    return place


def told(answer: dict[str, Any], arn: str | None, row: Row) -> str:
    context = answer["context"]
    allowed = answer.get("isAuthorized")
    if allowed is None:
        (statement,) = answer["policyDocument"]["Statement"]
        assert statement["Resource"] == arn
        allowed = statement["Effect"] == "Allow"
    assert allowed == (context["code"] == "VALID")
    assert not allowed or context["key_id"] == row.key_id
    return str(context["code"])


def is_as_expected(row: Row, got: str) -> bool:
    return got == row.code or (got == "401" and STATUS.get(row.code, 401) == 401)


def test_validating_decides_as_over_http(validator: Lambda, world: Deployment, rows: list[Row]) -> None:
    asked = {(row.key, row.path): row for row in rows if row.key is not None and not row.name.startswith("used up")}
    for (key, path), row in asked.items():
        event = recorded("rest_api")
        event["multiValueHeaders"] |= {"X-API-Key": [world.admin_key], "Content-Type": ["application/json"]}
        event["body"] = json.dumps({"key": key, "ip": "127.0.0.1", **NEEDS[path]})
        reply = validator.invoke(event)
        assert (reply["statusCode"], json.loads(reply["body"])["code"]) == (200, row.code), row.name


def test_a_revoked_key_is_refused_within_the_second_though_the_process_was_frozen(
    validator: Lambda, world: Deployment
) -> None:
    api: Api = world.api
    made = api.issue(scopes=["*"])
    event = recorded("authorizer_http_api") | {"routeKey": "GET /any"}
    event["headers"]["authorization"] = f"Bearer {made.text}"
    assert validator.invoke(event)["context"]["code"] == "VALID"
    os.kill(validator.process.pid, signal.SIGSTOP)
    try:
        api.revoke(made.key_id).ok()
        time.sleep(1.1)
    finally:
        os.kill(validator.process.pid, signal.SIGCONT)
    assert validator.invoke(event)["context"]["code"] == "REVOKED"


def test_a_use_is_known_before_the_process_is_frozen_and_perhaps_never_goes_on(
    validator: Lambda, world: Deployment
) -> None:
    """Else a key in use would look silent, and its grace would end early."""
    made = world.api.issue(scopes=["*"])
    event = recorded("authorizer_http_api") | {"routeKey": "GET /any"}
    event["headers"]["authorization"] = f"Bearer {made.text}"
    assert validator.invoke(event)["context"]["code"] == "VALID"
    os.kill(validator.process.pid, signal.SIGSTOP)
    try:
        assert list(world.document(f"usage/{made.key_id[:2]}/{made.key_id}")) == ["1"]
    finally:
        os.kill(validator.process.pid, signal.SIGCONT)


@pytest.fixture(scope="module", params=PYTHONS)
def without_vault(request: pytest.FixtureRequest, zips: Zips) -> Iterator[Lambda]:
    env = {"VAULT_ADDR": "http://127.0.0.1:9", "VAULT_TOKEN": "nobody"}
    with zips.running("validate_key", request.param, env) as instance:
        yield instance


def test_a_vault_that_is_away_is_an_error_and_503_and_never_a_no(without_vault: Lambda, rows: list[Row]) -> None:
    event = recorded("authorizer_request")
    event["multiValueHeaders"]["Authorization"] = [f"Bearer {next(row.key for row in rows if row.code == 'VALID')}"]
    with pytest.raises(LambdaError, match=r"^UNAVAILABLE$"):
        without_vault.invoke(event)
    event = recorded("http_api")
    event["headers"] |= {"x-api-key": str(rows[0].key), "content-type": "application/json"}
    assert without_vault.invoke(event)["statusCode"] == 503
