"""The whole pipeline, running: OpenBao, Keyrail, PostgreSQL, two services, their agents, and the gateway."""

import contextlib
import csv
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

from keyrail.adapters.private_files import write_private
from keyrail.dev.ports import free_ports
from keyrail.dev.postgres import PostgreSQL
from keyrail.dev.processes import Child
from keyrail.dev.system import System
from keyrail.settings import load_settings
from keyrail.triggers.cli_client import Api
from stage import processes, stubs, vault
from stage.api import Administrator
from stage.places import DATABASE_ROLE, FUNCTIONS, PIPELINE

Say = Callable[[str], None]
TLS = ("tls.pem", "ca.pem")
FILES = {"gateway": TLS, "data": TLS, "inference": (*TLS, "api-key"), "client": ("api-key",)}


class Pipeline:
    """Everything that was started ends on leaving the context. `folder` is its own, and is left as it is."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder, self._say = folder, say
        self.keys: dict[str, str] = {}
        (port,) = free_ports(1)
        self.system = System(folder / "keyrail", FUNCTIONS, port, say, outlives=False)
        self.ports: dict[str, int] = {}
        self.agents: dict[str, Child] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"

    @property
    def client_key_file(self) -> Path:
        return self.folder / "client" / "api-key"

    def _start(self) -> None:
        self._stack.enter_context(self.system)
        self._say("PostgreSQL starts ...")
        self.postgres = self._stack.enter_context(PostgreSQL())
        self._fill_database()
        identities = self.folder / "keyrail" / "identities"
        address = self.system.vault.address
        settings = load_settings(
            {"VAULT_ADDR": address, "VAULT_TOKEN": self.system.vault.root_token, "KEYRAIL_FEED_POLL": "inline"}
        )
        write_private(self.folder / "ca.pem", vault.set_up(settings, self.postgres, identities))
        key = self.system.admin_key_file.read_text().strip()
        self.administrator = Administrator(Api(self.system.url, key), settings)
        self._prepare_keyrail()
        self._say("Keyrail's gRPC container starts, and an agent beside each service ...")
        self.keyrail, self.ports["keyrail"] = processes.keyrail_grpc(self.folder, address, identities)
        self._stack.callback(self.keyrail.stop)
        self._start_agents(address, identities)
        self._start_services()

    def _start_agents(self, vault_address: str, identities: Path) -> None:
        for name in FILES:
            agent = processes.agent(self.folder / name, name, vault_address, identities)
            self.agents[name] = self._child(agent)
        for name, files in FILES.items():
            for file in files:
                processes.wait_until((self.folder / name / file).exists, self.agents[name])

    def _child(self, child: Child) -> Child:
        self._stack.callback(child.stop)
        return child

    def _fill_database(self) -> None:
        with (PIPELINE / "data" / "iris.csv").open() as file:
            rows = [tuple(row.values()) for row in csv.DictReader(file)]
        self.postgres.run_as_admin((PIPELINE / "data" / "schema.sql").read_text())
        values = ", ".join(f"({', '.join(row[:-1])}, '{row[-1]}')" for row in rows)
        self.postgres.run_as_admin(f"insert into flowers values {values}")  # noqa: S608 - our own file
        self.postgres.make_user(DATABASE_ROLE)
        self.postgres.run_as_admin(f"grant select on flowers to {DATABASE_ROLE}")

    def _prepare_keyrail(self) -> None:
        administrator = self.administrator
        administrator.write_configs(self.postgres.port)
        self.keys["inference"] = administrator.delivered_key("inference", "data:read")
        self.keys["client"] = administrator.delivered_key("client", "ml:infer", "data:read")

    def _start_services(self) -> None:
        self._say("The data service, the inference service and Envoy start ...")
        stubs.generate(self.folder / "stubs")
        self.ports |= zip(("data", "inference", "gateway"), free_ports(3), strict=True)
        at = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        data = self._child(processes.service(self.folder, "data", at["data"], at["keyrail"]))
        inference = self._child(processes.service(self.folder, "inference", at["inference"], at["keyrail"], at["data"]))
        envoy = self._child(processes.envoy(self.folder, self.ports["gateway"], self.ports))
        processes.wait_until(self._answers, data, inference, envoy)

    def _answers(self) -> bool:
        """The last of them does: the inference service asks the data service before it serves."""
        key = self.client_key_file.read_text()
        request = urllib.request.Request(f"{self.url}/infer/1", headers={"Authorization": f"Bearer {key}"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - our own, on loopback
                return bool(reply.status == 200)
        except OSError:
            return False
