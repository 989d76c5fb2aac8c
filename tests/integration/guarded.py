"""Gateways as in infra/gateways before one service, which ask real functions, or real containers, about the keys of one
deployment."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from deployed import Deployment
from gateway_world import Gateway, certificates, envoy
from grpc_container import Container, Load, wait_until
from http_gateways import NAMES, HttpGateway, http_gateway

from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

BY_GRPC = "envoy-by-grpc"
EVERY = (*NAMES, BY_GRPC)


@contextmanager
def asking_by_http(
    deployment: Deployment, folder: Path, service: int, names: Sequence[str] = NAMES
) -> Iterator[dict[str, HttpGateway]]:
    """Each before all instances of validate_key, with one key for all; their logs are looked through at the end."""
    key = deployment.api.of_tenant("system").issue(scopes=["keys:validate"])
    ports = [instance.function.port for instance in deployment.all_of("validate_key")]
    with ExitStack() as stack:
        gateways = dict[str, HttpGateway]()
        for name in names:
            (own := folder / name).mkdir(parents=True)
            gateways[name] = stack.enter_context(http_gateway(name, own, ports, service, key.text))
        yield gateways
    for name, gateway in gateways.items():
        deployment.canary.search(f"{name}'s log", gateway.log.read_text(errors="replace"))


class Replaceable(Protocol):
    """What a gateway asks, an instance of validate_key or a container; `restart` once its process has ended."""

    @property
    def process(self) -> Child: ...

    def restart(self) -> None: ...


GATEWAY_LOOKS_SECONDS = 1.5


def replace_one_after_the_other(servers: Sequence[Replaceable], load: Load) -> None:
    """Each is asked to finish, stays away for some calls, and is started again: the next one once the gateway, which
    looks each second, has seen that (as minReadySeconds has it)."""
    for server in servers:
        time.sleep(GATEWAY_LOOKS_SECONDS)
        load.wait_for(50)
        server.process.ask_to_stop()
        wait_until(lambda server=server: not server.process.is_running())  # type: ignore[misc]
        load.wait_for(20)
        server.restart()
    load.wait_for(50)


class StaysAtItsPort:
    """A container that can be started again."""

    def __init__(self, deployment: Deployment, **env: str) -> None:
        (port,) = free_ports(1)
        self._deployment, self._env = deployment, env | {"KEYRAIL_GRPC_ADDRESS": f"127.0.0.1:{port}"}
        self.container = Container(deployment, **self._env)

    @property
    def process(self) -> Child:
        return self.container.process

    def restart(self) -> None:
        self.container.stop()
        self.container = Container(self._deployment, **self._env).wait()

    def stop(self) -> None:
        self.container.stop()


@contextmanager
def asking_by_grpc(
    deployment: Deployment, folder: Path, service: int, count: int = 2
) -> Iterator[tuple[Gateway, list[StaysAtItsPort]]]:
    """Envoy before so many containers, by mTLS; its log is looked through at the end."""
    (tls := folder / "tls").mkdir(parents=True)
    env = certificates(tls)
    with ExitStack() as stack:
        servers = list[StaysAtItsPort]()
        for _ in range(count):
            servers.append(StaysAtItsPort(deployment, **env))
            stack.callback(servers[-1].stop)
        ports = [server.container.wait().port for server in servers]
        yield stack.enter_context(envoy(folder, tls, ports, service)), servers
    deployment.canary.search("Envoy's log", (folder / "envoy.log").read_text(errors="replace"))
