"""A rotation that Secrets Manager drives, in LocalStack: RotateSecret calls the zip of rotate, a step each.

The key is one of the service in MiniStack, and its record stays there; the secret is LocalStack's.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyrail.dev.local_aws import checks, environments, zips
from keyrail.dev.local_aws.emulators import Emulator, localstack
from keyrail.dev.local_aws.report import Report
from keyrail.dev.local_aws.service import Service
from keyrail.dev.local_aws.stack import Stack

SINK = "acme/trainer"
NAME = f"keyrail/{SINK}"
GRACE_SECONDS = 5  # a key has two live generations at most: the next rotation waits for its end
ROTATED_WITHIN_SECONDS = 60.0


@dataclass(frozen=True)
class Rotated:
    """A secret that is rotated, and the key whose sink it is."""

    secrets: Any
    issued: dict[str, Any]


@contextmanager
def deployed(service: Service, cache: Path, folder: Path, report: Report) -> Iterator[Rotated]:
    """Raises: what its parts raise."""
    with report.step("LocalStack is installed"):
        python = environments.made("localstack", "3.11", cache)
        lambda_python = environments.made("lambda", "3.13", cache)
    with ExitStack() as running:
        with report.step("LocalStack is up"):
            aws = running.enter_context(localstack(python, lambda_python, folder))
        issued = service.api.issue(
            name="trainer", rotation={"sink": f"secretsmanager:{SINK}", "grace_seconds": GRACE_SECONDS}
        )
        secrets = aws.client("secretsmanager")
        secrets.create_secret(Name=NAME, SecretString=_document(issued))
        with report.step("Terraform has deployed the rotation to LocalStack"):
            _stack(service, aws, folder).deploy()
        yield Rotated(secrets, issued)


def check(rotated: Rotated, service: Service, report: Report) -> None:
    """Raises: CheckFailed."""
    with report.step("Secrets Manager has rotated the key: when rotation was turned on, and asked to"):
        first = _newer_than(rotated, rotated.issued["key"])
        checks.codes_become(service.api, [rotated.issued["key"], first], ["ROTATED_OUT", "VALID"])
        second = _newer_than(rotated, first)
        checks.codes_become(service.api, [first, second], ["ROTATED_OUT", "VALID"])


def _newer_than(rotated: Rotated, key: str) -> str:
    """The key that is AWSCURRENT, once it is another. LocalStack does not try again by itself, as AWS does; and where a
    tick of the service's clock was first, a rotation is refused until that one's grace is over."""
    ends_at = time.monotonic() + ROTATED_WITHIN_SECONDS
    while (current := _current(rotated)) == key:
        if time.monotonic() > ends_at:
            raise checks.CheckFailed(f"not within {ROTATED_WITHIN_SECONDS:.0f} s: AWSCURRENT is a newer key")
        with contextlib.suppress(rotated.secrets.exceptions.ClientError):
            rotated.secrets.rotate_secret(SecretId=NAME)
        time.sleep(checks.POLL_SECONDS)
    return current


def _current(rotated: Rotated) -> str:
    """Raises: CheckFailed where it is a key of somebody else."""
    held = json.loads(rotated.secrets.get_secret_value(SecretId=NAME)["SecretString"])
    if held["key_id"] != rotated.issued["key_id"]:
        raise checks.CheckFailed(f"AWSCURRENT is of {held['key_id']}")
    return str(held["api_key"])


def _stack(service: Service, aws: Emulator, folder: Path) -> Stack:
    """With the settings that the module gave to the same function in MiniStack."""
    told = service.aws.client("lambda").get_function_configuration(FunctionName="keyrail-rotate")
    variables = {
        "zip": str(service.dist / zips.name_of("rotate")),
        "architecture": zips.architecture(),
        "environment": told["Environment"]["Variables"] | {"AWS_ENDPOINT_URL_DYNAMODB": service.aws.endpoint},
        "secret_name": NAME,
    }
    return Stack("rotation", folder / "terraform-rotation", variables, aws, ["rotate"])


def _document(issued: dict[str, Any]) -> str:
    return json.dumps({"api_key": issued["key"], "key_id": issued["key_id"], "generation": 1})
