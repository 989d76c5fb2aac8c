"""The packaged function `rotate` as Secrets Manager invokes it, between OpenBao and moto, and killed on command."""

import json
import secrets
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lambda_world import Zips
from rotating import ROTATOR, Rotations
from vault_proxy import Asked, Cut, Proxy, proxy_to

from keyrail.dev.aws import CREDENTIALS
from keyrail.dev.dist import PYTHONS
from keyrail.dev.lambda_runtime import Lambda, LambdaError
from rotated_secret import RotatedSecret

PREFIX = "by-aws/"
PYTHON = PYTHONS[-1]
OF_LAMBDA = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3")  # pure Python, all of it
_CHANGES = ("PutSecretValue", "UpdateSecretVersionStage")


@dataclass(frozen=True)
class Rotated:
    """A key, and the secret in which its consumer reads it."""

    key_id: str
    text: str
    secret: RotatedSecret


def issue(rotations: Rotations, aws: Any, grace_seconds: int = 3600) -> Rotated:
    """The secret names the key, and holds it."""
    name = f"acme/app-{secrets.token_hex(6)}"
    made = rotations.api.issue(rotation={"grace_seconds": grace_seconds, "sink": f"secretsmanager:{name}"})
    text = json.dumps({"api_key": made.text, "key_id": made.key_id, "generation": 1})
    return Rotated(made.key_id, made.text, RotatedSecret(aws, PREFIX + name, text))


class Function:
    """One instance, behind a proxy each to Vault and to AWS."""

    def __init__(self, zips: Zips, env: dict[str, str], proxies: tuple[Proxy, Proxy], stack: ExitStack) -> None:
        self.proxies = proxies
        self._zips, self._env, self._stack = zips, env, stack
        self._lambda = self._begin()

    def _begin(self) -> Lambda:
        return self._stack.enter_context(self._zips.running("rotate", PYTHON, self._env))

    def invoke(self, event: dict[str, Any]) -> Any:
        """Raises: LambdaError, as Secrets Manager gets it."""
        return self._lambda.invoke(event)

    def restart(self) -> None:
        self._lambda.process.kill()
        self._lambda = self._begin()

    def changes_of(self, event: dict[str, Any]) -> list[str]:
        """What a step changes, in its order: a folder in Vault, or an action of AWS."""
        changes: list[str] = []
        for proxy in self.proxies:
            proxy.before = lambda asked: changes.extend(_change(asked))
        self.invoke(event)
        self._leave_alone()
        return changes

    def dies(self, number: int, when: str, event: dict[str, Any]) -> None:
        """kill -9, `when` ("before" or "after") the step's change of that number passes."""
        seen, killed = 0, False

        def kill(asked: Asked) -> None:
            nonlocal seen, killed
            is_change = bool(_change(asked))
            seen += is_change
            if is_change and seen == number:
                killed = True
                self._lambda.process.kill()
                raise Cut

        for proxy in self.proxies:
            setattr(proxy, when, kill)
        with pytest.raises(LambdaError) as ended:
            self.invoke(event)
        self._leave_alone()
        assert (killed, ended.value.kind) == (True, "Runtime.ExitError")

    @contextmanager
    def without(self, which: int) -> Iterator[None]:
        """Vault (0) or AWS (1) answers nothing."""

        def cut(asked: Asked) -> None:
            raise Cut

        self.proxies[which].before = cut
        try:
            yield
        finally:
            self._leave_alone()

    def _leave_alone(self) -> None:
        for proxy in self.proxies:
            proxy.before = proxy.after = lambda _: None


def _change(asked: Asked) -> list[str]:
    """One, or none."""
    action = asked.headers.get("X-Amz-Target", "").rpartition(".")[2]
    if action:
        return [action] if action in _CHANGES else []
    is_other = "/outbox/sender/" in asked.path or "/data/usage/" in asked.path
    if is_other or not (asked.is_write or asked.method == "DELETE"):
        return []
    folder = asked.path.split("/")[4]
    return [f"-{folder}" if asked.method == "DELETE" else folder]


@contextmanager
def functions(
    zips: Zips, rotations: Rotations, aws_endpoint: str, folder: Path, count: int = 1
) -> Iterator[list[Function]]:
    """boto3 is there as in Lambda's own runtime: the zip is without it."""
    deployment, log = rotations.deployment, zips.folder / f"rotate-{PYTHON}.log"
    with ExitStack() as stack:
        vault, aws = (stack.enter_context(proxy_to(each)) for each in (deployment.vault.address, aws_endpoint))
        paths = [zips.folder / f"rotate-{PYTHON}", zips.clients[PYTHON], _runtime(folder)]
        more = {
            "KEYRAIL_SECRETS_PREFIX": PREFIX,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws.address,
            "PYTHONPATH": ":".join(map(str, paths)),
            **CREDENTIALS,
        }
        env = deployment.environment("rotate", vault.address, **ROTATOR, **more)
        yield [Function(zips, env, (vault, aws), stack) for _ in range(count)]
    deployment.canary.search("the output of the Lambda rotate", log.read_text())


def _runtime(folder: Path) -> Path:
    installed = Path(sysconfig.get_path("purelib"))
    for name in OF_LAMBDA:
        if not (folder / name).exists():
            (folder / name).symlink_to(installed / name)
    return folder
