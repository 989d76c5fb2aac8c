"""Keyrail on AWS without Vault: a table of one's own, and a pepper beside it. Vault's address leads nowhere."""

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from dev_process import clean_environment, run_here

from counted_table import CountedTable, QuietDynamoLog, new_table
from keyrail.adapters import dynamodb_documents
from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.aws_setup import AwsPlace
from keyrail.bootstrap import build_services
from keyrail.bootstrap_aws_admin import aws_place
from keyrail.dev.aws import CREDENTIALS
from keyrail.domain.access import Caller
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.settings import load_settings
from keyrail.triggers.cli_bootstrap import Bootstrap
from vault_world import ADMIN, MovedClock

PEPPERS = ("secretsmanager", "kms")
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class AwsWorld:
    """`env` is all that a process needs to know, and of which AWS."""

    env: dict[str, str]
    table: CountedTable
    clock: MovedClock

    @classmethod
    def make(cls, monkeypatch: pytest.MonkeyPatch, endpoint: str, pepper: str, **env: str) -> "AwsWorld":
        """Of this process as well, in which use is written when a test says so."""
        name = secrets.token_hex(4)
        for variable in [variable for variable in os.environ if variable.startswith(("KEYRAIL_", "VAULT_"))]:
            monkeypatch.delenv(variable)
        for variable, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setattr(dynamodb_documents, "DynamoUsageLog", QuietDynamoLog)
        table = new_table(endpoint)
        settings = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": endpoint,
            "KEYRAIL_STORE": "dynamodb",
            "KEYRAIL_DYNAMODB_TABLE": table.name,
            "KEYRAIL_DYNAMODB_DEADLINE_SECONDS": "10",
            "KEYRAIL_PEPPER": pepper,
            "KEYRAIL_PEPPER_SECRET": f"keyrail/pepper-{name}",
            "KEYRAIL_PEPPER_KEY": hmac_key(endpoint) if pepper == "kms" else "alias/none",
            "KEYRAIL_SECRETS_PREFIX": f"sinks-{name}/",
            "VAULT_ADDR": NOWHERE,
        }
        return cls(settings | env, table, MovedClock())

    def services(self, **env: str) -> Services:
        """As of another process, at the clock that tests move."""
        inline = {"KEYRAIL_FEED_POLL": "inline", "KEYRAIL_METRICS": "none"}
        services = build_services(load_settings({**self.env, **inline, **env}))
        lookup: Any = services.lookup
        lookup._clock = self.clock
        return replace(services, clock=self.clock)

    def call(self, services: Services, operation: Operation, caller: Caller = ADMIN, **fields: Any) -> Any:
        self.clock.seconds += 2.0  # more than the feed's poll
        return operation.run(operation.request.model_validate(fields), caller, services)

    @property
    def place(self) -> AwsPlace:
        return aws_place(load_settings(self.env), self.clock)

    def bootstrap(self, **options: Any) -> tuple[dict[str, str], list[str]]:
        """In this process: the outcome of each step, and the keys that it handed over."""
        keys: list[str] = []
        settings = load_settings({**self.env, "KEYRAIL_FEED_POLL": "inline"})
        run = Bootstrap(settings, Path("functions"), lambda _, key: keys.append(key), **options)
        return {step.what: step.outcome for step in run.steps()}, keys

    def keyrail_here(self, *arguments: str, stdin: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
        """The command in this process."""
        return run_here(*arguments, stdin=stdin, **{**self.env, **env})

    def start(self, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        """The command as a process."""
        return subprocess.Popen(
            [sys.executable, "-c", "from keyrail.triggers.cli import main; main()", *arguments],
            env={**clean_environment(), **self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def items(self) -> dict[str, dict[str, Any]]:
        """All that lies in the table, by pk."""
        return {item["pk"]["S"]: item for item in self.table.client().scan(TableName=self.table.name)["Items"]}

    def document(self, pk: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.items()[pk]["document"]["S"])
        return document


def hmac_key(endpoint: str) -> str:
    """The ARN of a new key of KMS."""
    client = AwsClient("kms", 10.0, endpoint).get()
    made = client.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    return str(made["KeyMetadata"]["Arn"])
