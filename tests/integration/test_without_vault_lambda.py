"""Lambdas without a Vault: just the modules that a zip holds, and boto3, as Lambda's runtime has it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_world import PEPPERS, AwsWorld
from dev_process import clean_environment

from keyrail.dev.dist_modules import stage
from keyrail.dev.functions import find_functions, function_of_operation

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "tests/triggers/lambda_events"
SCRIPT = """
import json, sys
from types import SimpleNamespace
import keyrail
import main
context = SimpleNamespace(aws_request_id="8f507cfc-xmpl-4697-b07a", get_remaining_time_in_millis=lambda: 30_000)
answers = [main.lambda_handler(event, context) for event in json.load(sys.stdin)]
json.dump({"from": keyrail.__file__, "answers": answers}, sys.stderr)
"""


def invoked(world: AwsWorld, function: str, folder: Path, *events: dict[str, Any]) -> list[Any]:
    """What the handler answers, one process for all events."""
    sources = find_functions(ROOT / "functions")
    operations = [name for name, owner in function_of_operation(sources).items() if owner == function]
    stage(ROOT / "shared", sources[function], operations, folder / "task")
    env = {"PYTHONPATH": str(folder / "task"), "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(events),
        env=clean_environment() | world.env | env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stderr)
    assert told["from"].startswith(str(folder))
    answers: list[Any] = told["answers"]
    return answers


def recorded(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@pytest.mark.parametrize("pepper", PEPPERS)
def test_the_authorizer_decides(
    monkeypatch: pytest.MonkeyPatch, aws_endpoint: str, tmp_path: Path, pepper: str
) -> None:
    world = AwsWorld.make(monkeypatch, aws_endpoint, pepper)
    _, (key,) = world.bootstrap()
    good, wrong = recorded("authorizer_http_api"), recorded("authorizer_http_api")
    good["headers"]["authorization"] = f"Bearer {key}"
    wrong["headers"]["authorization"] = "Bearer krl_live_nothing"
    answers = invoked(world, "validate_key", tmp_path, good, wrong)
    assert [(each["isAuthorized"], each["context"]["code"]) for each in answers] == [
        (True, "VALID"),
        (False, "MALFORMED"),
    ]


def test_the_clock_ticks(monkeypatch: pytest.MonkeyPatch, aws_endpoint: str, tmp_path: Path) -> None:
    world = AwsWorld.make(monkeypatch, aws_endpoint, "secretsmanager")
    world.bootstrap()
    report, swept = invoked(
        world, "rotate", tmp_path, recorded("scheduler"), recorded("scheduler") | {"detail": {"operation": "sweep"}}
    )
    assert (report["rotated"], report["failures"]) == (0, [])
    assert swept["failures"] == []
