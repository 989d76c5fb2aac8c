"""LocalStack's Lambdas without Docker: each instance is a process of AWS's own runtime client.

LocalStack finds this by the entry point in the folder beside it, once this folder is on its PYTHONPATH, and takes it
where LAMBDA_RUNTIME_EXECUTOR is `process`. KEYRAIL_LAMBDA_PYTHON is the Python of the Lambdas, KEYRAIL_LAMBDA_CLIENT
the folder with what Lambda has beside a function's zip: the runtime client and boto3.
"""

import json
import os
from pathlib import Path

from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from keyrail.dev.lambda_runtime import Lambda, LambdaError

LOOPBACK = "127.0.0.1"
PLACES = ("LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR")  # of a container; here they are elsewhere


class ProcessExecutor(RuntimeExecutor):
    """One instance of a function."""

    def start(self, env_vars: dict[str, object]) -> None:
        version = self.function_version
        env = {name: str(value) for name, value in env_vars.items() if name not in PLACES}
        self._log = Path(os.environ["TMPDIR"]) / f"lambda-{version.id.function_name}-{self.id}.log"
        self._instance = Lambda(
            Path(os.environ["KEYRAIL_LAMBDA_PYTHON"]),
            Path(os.environ["KEYRAIL_LAMBDA_CLIENT"]),
            version.config.code.get_unzipped_code_location(),
            self._log,
            env,
            timeout_seconds=version.config.timeout,
        )

    def stop(self) -> None:
        self._instance.close()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """A failure of the handler is a result, as it is with Lambda."""
        try:
            answer, failed = self._instance.invoke(json.loads(payload["payload"])), False
        except LambdaError as error:
            answer, failed = {"errorType": error.kind, "errorMessage": str(error)}, True
        return InvocationResult(
            payload["invoke-id"], json.dumps(answer).encode(), is_error=failed, logs=self.get_logs()
        )

    def get_logs(self) -> str:
        return self._log.read_text(errors="replace")

    def get_address(self) -> str:
        return LOOPBACK

    def get_endpoint_from_executor(self) -> str:
        return LOOPBACK

    def get_runtime_endpoint(self) -> str:
        """Of LocalStack's own agent inside a container, which is not here."""
        return ""

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """LocalStack itself removes the code."""


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *_: object, **__: object) -> type[ProcessExecutor]:
        return ProcessExecutor
