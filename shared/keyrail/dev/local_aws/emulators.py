"""The two servers that stand for AWS, each on a free port of 127.0.0.1, as contexts that give the running server."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyrail.dev.functions import answers
from keyrail.dev.local_aws.environments import ROOT
from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

START_SECONDS = 90.0  # LocalStack on a loaded machine; usually ten
REGION = "eu-central-1"
SERVICES = "iam,kms,lambda,logs,s3,secretsmanager,sqs,sts"  # of LocalStack; it keeps zips in its S3
_CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}  # both ask for none


class EmulatorError(Exception):
    """It did not come up; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Emulator:
    name: str
    endpoint: str
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of whoever is to talk to it, and to no other AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **{name.upper(): value for name, value in _CREDENTIALS.items()},
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """Of boto3."""
        import boto3

        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, **_CREDENTIALS)


@contextmanager
def ministack(python: Path, folder: Path) -> Iterator[Emulator]:
    """Runs Lambdas with its own interpreter. Raises: EmulatorError."""
    (port,) = free_ports(1)
    env = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "AWS_LAMBDA_RUNTIME_API": "ministack",  # Lambda sets it, MiniStack does not: Keyrail knows Lambda by it
    }
    with _running("ministack", [str(python), "-m", "ministack"], env, folder, port) as server:
        yield server


@contextmanager
def localstack(python: Path, lambda_python: Path, folder: Path) -> Iterator[Emulator]:
    """Runs Lambdas by infra/localstack under `lambda_python`, whose environment has AWS's runtime client.

    Raises: EmulatorError.
    """
    (port,) = free_ports(1)
    env = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "SERVICES": SERVICES,
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",  # it would report to its makers
        "DNS_ADDRESS": "0",  # it would be a name server, too
        "PYTHONPATH": f"{ROOT / 'infra/localstack'}:{ROOT / 'shared'}",
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "KEYRAIL_LAMBDA_PYTHON": str(lambda_python),
        "KEYRAIL_LAMBDA_CLIENT": str(next(lambda_python.parents[1].glob("lib/python*/site-packages"))),
    }
    with _running("localstack", [str(python), "-m", "localstack.runtime.main"], env, folder, port) as server:
        yield server


@contextmanager
def _running(name: str, command: Sequence[str], env: Mapping[str, str], folder: Path, port: int) -> Iterator[Emulator]:
    scratch = folder / name
    scratch.mkdir(parents=True, mode=0o700)
    own = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
    server = Emulator(name, f"http://127.0.0.1:{port}", folder / f"{name}.log")
    child = Child(name, command, {**own, **env}, server.log)
    try:
        _wait_until_healthy(child, server)
        yield server
    finally:
        child.stop()


def _wait_until_healthy(child: Child, server: Emulator) -> None:
    ends_at = time.monotonic() + START_SECONDS
    while not answers(f"{server.endpoint}/_localstack/health"):  # MiniStack has it, too
        if not child.is_running() or time.monotonic() > ends_at:
            raise EmulatorError(f"{server.name} did not come up {child.epitaph()}")
        time.sleep(0.1)
