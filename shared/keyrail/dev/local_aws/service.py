"""The whole service in MiniStack: every function's zip, the API, the table, the clock, and an API that it guards."""

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyrail.dev.demo import show_life_of_a_key
from keyrail.dev.functions import find_functions
from keyrail.dev.local_aws import checks, environments, vault, zips
from keyrail.dev.local_aws.emulators import REGION, Emulator, ministack
from keyrail.dev.local_aws.report import Report
from keyrail.dev.openbao import OpenBao
from keyrail.dev.terraform import Terraform

ROOT = environments.ROOT
PLAN = ROOT / "infra/localstack/service"
SINK = "acme/gateway"
# MiniStack tells of an empty jwtConfiguration where an authorizer has none.
NOT_OURS = {"update module.authorizer.aws_apigatewayv2_authorizer.keyrail"}


class NotStable(Exception):
    """A plan right after an apply would change something."""


@dataclass(frozen=True)
class Service:
    aws: Emulator
    api: checks.Api
    model_url: str
    terraform: Terraform
    bao: OpenBao
    jwt_file: Path
    table: str

    def client(self, name: str) -> Any:
        """Of boto3."""
        return client(name, self.aws)


@contextmanager
def deployed(cache: Path, folder: Path, report: Report) -> Iterator[Service]:
    """`cache` keeps what takes long to make, `folder` is this run's own. Raises: what its parts raise."""
    with report.step("MiniStack is installed"):
        python = environments.made("ministack", "3.13", cache)
    with report.step("zips are made"):
        dist = zips.made(cache)
    with ExitStack() as running:
        with report.step("OpenBao is up"):
            bao = OpenBao(folder / "openbao").start()
            running.callback(bao.kill)
            vault.let_in(bao, list(find_functions(ROOT / "functions")), folder / "jwt")
        yield _deployed(running.enter_context(ministack(python, folder)), bao, dist, folder, report)


def _deployed(aws: Emulator, bao: OpenBao, dist: Path, folder: Path, report: Report) -> Service:
    variables = {
        "dist": str(dist),
        "architecture": zips.architecture(),
        "model": str(_zip_of(PLAN / "model.py", folder / "model.zip")),
        "vault_address": bao.address,
        "jwt_file": str(folder / "jwt"),
    }
    terraform = Terraform(PLAN, folder / "terraform-service", variables, environment(aws))
    with report.step("Terraform has deployed the service to MiniStack"):
        made = terraform.apply()
    with report.step("keyrail bootstrap has made the first admin key"):
        settings = {"KEYRAIL_STORE": "dynamodb", "KEYRAIL_DYNAMODB_TABLE": made["table_name"]}
        admin_key = vault.bootstrap(bao, ROOT / "functions", folder, environment(aws) | settings)
    api = checks.Api(_url(aws, made["api_id"]), admin_key)
    model = f"{_url(aws, made['model_api_id'])}/infer"
    return Service(aws, api, model, terraform, bao, folder / "jwt", made["table_name"])


def check(service: Service, report: Report) -> None:
    """Raises: NotStable, CheckFailed, DemoError."""
    due = checks.issue_due(service.api, SINK)
    with report.step("the life of a key through the API: issued, valid, rotated, in grace, revoked, refused"):
        show_life_of_a_key(service.api.url, service.api.admin_key, lambda _: None)
    with report.step("the authorizer guards a route of another API"):
        checks.guards(service.api, service.model_url)
    with report.step("a second plan changes nothing"):
        changes = set(service.terraform.changes()) - NOT_OURS
        if changes:
            raise NotStable(f"a plan after the apply would {', '.join(sorted(changes))}")
    with report.step("the clock has rotated a due key into Secrets Manager"):
        checks.clock_rotates(service.api, service.client("secretsmanager"), SINK, due)


def environment(aws: Emulator) -> dict[str, str]:
    """Of whoever is to talk to it and to no other AWS."""
    return {
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(name: str, aws: Emulator) -> Any:
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(name, endpoint_url=aws.endpoint, region_name=REGION, **keys)


def _url(aws: Emulator, api_id: str) -> str:
    """Of an API without its host name, which this machine may not resolve."""
    return f"{aws.endpoint}/_aws/execute-api/{api_id}/$default"


def _zip_of(source: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as made:
        made.write(source, source.name)
    return archive
