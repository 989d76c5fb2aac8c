"""A bootstrapped mount and real function processes before it, each under its own AppRole identity.

Root is used to set up, and to look at what lies in Vault; no function ever has its token.
"""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
from canary import Canary
from http_api import Api

from keyrail.adapters.vault_identities import read_identity
from keyrail.dev.functions import (
    Function,
    answers,
    environment,
    find_functions,
    function_of_operation,
    wait_until_ready,
)
from keyrail.dev.openbao import OpenBao
from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child
from keyrail.settings import load_settings
from keyrail.triggers.cli_bootstrap import Bootstrap

SOURCES = Path(__file__).parents[2] / "functions"
CONTAINERS = SOURCES.parent / "containers"
ALL = tuple(find_functions(SOURCES))
FUNCTION_OF = function_of_operation(find_functions(SOURCES))
FULL = os.environ.get("KEYRAIL_FULL") == "1"  # the counts of a release; without it a sample of each


class Instance:
    """One process of one function, and those that take its place on the same port."""

    def __init__(self, name: str, env: dict[str, str], logs: Path) -> None:
        self.name = name
        self._env, self._logs = env, logs
        self.logs: list[Path] = []
        self.function = self._launch(free_ports(1)[0])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.function.port}"

    @property
    def process(self) -> Child:
        return self.function.process

    def _launch(self, port: int) -> Function:
        self.logs.append(self._logs / f"{self.name}-{secrets.token_hex(4)}.log")
        return Function(self.name, SOURCES / self.name / "main.py", self._env, self.logs[-1], port)

    def restart(self) -> None:
        """Without asking it to finish first."""
        self.kill()
        self.function.process.stop()
        self.function = self._launch(self.function.port)
        self.wait()

    def wait(self) -> None:
        """Until it is ready."""
        wait_until_ready([self.function])

    def kill(self) -> None:
        """SIGKILL to the server and its workers at once. May be called again."""
        self.function.process.kill()

    def is_up(self, probe: str = "readyz") -> bool:
        return answers(f"{self.url}/{probe}")


class Deployment:
    def __init__(self, vault: OpenBao, folder: Path, canary: Canary) -> None:
        self.vault, self.folder, self.canary = vault, folder, canary
        self.mount = f"keyrail-{secrets.token_hex(4)}"
        self.config_mount, self.database_mount = f"{self.mount}-config", f"{self.mount}-database"
        self.delivery_mount, self.pki_mount = f"{self.mount}-delivery", f"{self.mount}-pki"
        self.instances: list[Instance] = []
        self.root: Any = hvac.Client(vault.address, vault.root_token)
        self._bootstrap()
        self.api = Api(canary, self.admin_key, self.url_of)

    def _bootstrap(self) -> None:
        settings = load_settings(
            {
                "VAULT_ADDR": self.vault.address,
                "VAULT_TOKEN": self.vault.root_token,
                "KEYRAIL_VAULT_MOUNT": self.mount,
                "KEYRAIL_CONFIG_MOUNT": self.config_mount,
                "KEYRAIL_DATABASE_MOUNT": self.database_mount,
                "KEYRAIL_DELIVERY_MOUNT": self.delivery_mount,
                "KEYRAIL_GRPC_PKI_MOUNT": self.pki_mount,
                "KEYRAIL_FEED_POLL": "inline",
            }
        )
        shown: dict[str, str] = {}
        folder = self.folder / "identities"
        run = Bootstrap(settings, SOURCES, shown.__setitem__, identities=folder, containers=CONTAINERS)
        assert list(run.steps())
        ((self.admin_key_id, self.admin_key),) = shown.items()
        self.canary.knows_key(self.admin_key)
        for pepper in self.document("pepper")["versions"].values():
            self.canary.knows("a pepper", pepper)
        for file in (self.folder / "identities").glob("*.secret-id"):
            self.canary.knows("a secret id", file.read_text())

    def launch(self, name: str, *, vault_address: str | None = None, **env: str) -> Instance:
        """Starting when this returns. `vault_address` leads to a proxy before Vault."""
        instance = Instance(name, self.environment(name, vault_address, **env), self.folder / "logs")
        self.instances.append(instance)
        return instance

    def start(self, *names: str, **env: Any) -> list[Instance]:
        """Ready when this returns."""
        started = [self.launch(name, **env) for name in names]
        wait_until_ready([instance.function for instance in started])
        return started

    def all_of(self, name: str) -> list[Instance]:
        return [instance for instance in self.instances if instance.name == name]

    def url_of(self, name: str) -> str:
        return self.all_of(name)[0].url

    def environment(self, name: str, vault_address: str | None = None, **env: str) -> dict[str, str]:
        identity = read_identity(self.folder / "identities", name)
        return environment(vault_address or self.vault.address, identity) | env

    def policy_of(self, name: str) -> str:
        return f"{self.mount}-{name}"

    # -- what lies in Vault, as root --------------------------------------------------------------------------------

    def document(self, path: str) -> dict[str, Any]:
        document: dict[str, Any] = self._read(path)["data"]
        return document

    def overwrite(self, path: str, document: dict[str, Any]) -> None:
        version = self._read(path)["metadata"]["version"]
        self.root.secrets.kv.v2.create_or_update_secret(path, document, cas=version, mount_point=self.mount)

    def paths(self, folder: str = "") -> Iterator[str]:
        """Every document's path, by listing each folder; none where there is no such folder."""
        try:
            found = self.root.secrets.kv.v2.list_secrets(folder, mount_point=self.mount)
        except hvac.exceptions.InvalidPath:
            return
        for name in found["data"]["keys"]:
            if name.endswith("/"):
                yield from self.paths(folder + name)
            else:
                yield folder + name

    def _read(self, path: str) -> dict[str, Any]:
        found = self.root.secrets.kv.v2.read_secret_version(path, mount_point=self.mount, raise_on_deleted_version=True)
        data: dict[str, Any] = found["data"]
        return data

    # -- no secret anywhere -----------------------------------------------------------------------------------------

    def look_through(self) -> None:
        """All that can be read of this deployment by whoever may read anything but the pepper."""
        for instance in self.instances:
            self.api.call(instance.name, "GET", "/metrics", at=instance.url)
            self._look_through_output(instance)
        for path in self.paths():
            self.canary.search("a path in Vault", path)
            document = self.document(path)
            peppers = document["versions"].values() if path == "pepper" else ()
            self.canary.search(f"{path.split('/')[0]} in Vault", json.dumps(document), peppers)

    def _look_through_output(self, instance: Instance) -> None:
        for log in instance.logs:
            self.canary.search(f"the output of {instance.name}", log.read_text(errors="replace"))

    # -- the end ----------------------------------------------------------------------------------------------------

    def stop(self, *these: Instance) -> None:
        """These, or all, at once; then everything they wrote is looked through."""
        for instance in (stopped := list(these or self.instances)):
            instance.kill()
        for instance in stopped:
            instance.function.process.stop()
            self._look_through_output(instance)
            self.instances.remove(instance)


def look_through_logs(vault: OpenBao, canary: Canary) -> None:
    for log in ("audit.log", "server.log"):
        canary.search(f"Vault's {log}", (vault.folder / log).read_text(errors="replace"))
