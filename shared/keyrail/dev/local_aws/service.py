"""The whole service in MiniStack: every function's zip, the API, the table, the clock, and an API that it guards."""

import zipfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from keyrail.dev.demo import show_life_of_a_key
from keyrail.dev.functions import find_functions
from keyrail.dev.local_aws import checks, environments, first_admin, vault, zips
from keyrail.dev.local_aws.emulators import Emulator, ministack
from keyrail.dev.local_aws.report import Report
from keyrail.dev.local_aws.stack import Stack

ROOT = environments.ROOT
FUNCTIONS = frozenset(find_functions(ROOT / "functions"))
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
    stack: Stack
    dist: Path


@contextmanager
def deployed(
    cache: Path, folder: Path, report: Report, *, functions: Collection[str] = FUNCTIONS, with_vault: bool = True
) -> Iterator[Service]:
    """`cache` keeps what takes long to make, `folder` is this run's own. Without Vault, KMS makes the pepper.

    Raises: what its parts raise.
    """
    with report.step("MiniStack is installed"):
        python = environments.made("ministack", "3.13", cache)
    with report.step("zips are made"):
        dist = zips.made(cache, functions)
    with ExitStack() as running:
        beside = None
        if with_vault:
            with report.step("OpenBao is up"):
                beside = running.enter_context(vault.running(functions, folder))
        aws = running.enter_context(ministack(python, folder))
        stack = _stack(aws, beside, dist, folder, functions)
        yield _deployed(stack, aws, beside, dist, folder, report)


def _stack(aws: Emulator, beside: vault.Vault | None, dist: Path, folder: Path, functions: Collection[str]) -> Stack:
    variables = {
        "dist": str(dist),
        "architecture": zips.architecture(),
        "model": str(_zip_of(ROOT / "infra/localstack/service/model.py", folder / "model.zip")),
    }
    if beside is not None:
        variables |= {"vault_address": beside.address, "jwt_file": str(beside.jwt_file)}
    return Stack("service", folder / "terraform-service", variables, aws, functions)


def _deployed(
    stack: Stack, aws: Emulator, beside: vault.Vault | None, dist: Path, folder: Path, report: Report
) -> Service:
    with report.step("Terraform has deployed the service to MiniStack"):
        made = stack.deploy()
    with report.step("keyrail bootstrap has made the first admin key"):
        settings = {"KEYRAIL_STORE": "dynamodb", "KEYRAIL_DYNAMODB_TABLE": made["table_name"]}
        settings |= {"KEYRAIL_PEPPER": "kms"} if beside is None else beside.administrator
        admin_key = first_admin.made(folder, aws.environment | settings)
    api = checks.Api(_url(aws, made["api_id"]), admin_key)
    model = f"{_url(aws, made['model_api_id'])}/infer"
    return Service(aws, api, model, stack, dist)


def check(service: Service, report: Report) -> None:
    """Raises: NotStable, CheckFailed, DemoError."""
    due = checks.issue_due(service.api, SINK)
    check_life(service, report)
    with report.step("a second plan changes nothing"):
        changes = service.stack.changes() - NOT_OURS
        if changes:
            raise NotStable(f"a plan after the apply would {', '.join(sorted(changes))}")
    with report.step("the clock has rotated a due key into Secrets Manager"):
        checks.clock_rotates(service.api, service.aws.client("secretsmanager"), SINK, due)


def check_life(service: Service, report: Report) -> None:
    """What takes a few seconds. Raises: CheckFailed, DemoError."""
    with report.step("the life of a key through the API: issued, valid, rotated, in grace, revoked, refused"):
        show_life_of_a_key(service.api.url, service.api.admin_key, lambda _: None)
    with report.step("the authorizer guards a route of another API"):
        checks.guards(service.api, service.model_url)


def _url(aws: Emulator, api_id: str) -> str:
    """Of an API without its host name, which this machine may not resolve."""
    return f"{aws.endpoint}/_aws/execute-api/{api_id}/$default"


def _zip_of(source: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as made:
        made.write(source, source.name)
    return archive
