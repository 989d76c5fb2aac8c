"""Gateways that ask over HTTP before one service, each as its file in infra/gateways says but for addresses."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway_world import AS_IT_IS, ENVOY_OPTIONS, Gateway, edited
from grpc_container import wait_until

from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

FILES = Path(__file__).parents[2] / "infra/gateways"
NAMES = ("nginx", "haproxy", "traefik", "caddy", "envoy")
OWN = {
    "nginx": ("nginx.conf",),
    "haproxy": ("haproxy.cfg", "keyrail.lua"),
    "traefik": ("traefik.yaml", "traefik-dynamic.yaml"),
    "caddy": ("Caddyfile",),
    "envoy": ("envoy-http.yaml",),
}
PUBLIC = {  # what its file says, and what is said here instead
    "nginx": ("listen 8080", "listen 127.0.0.1:{}"),
    "haproxy": ("bind :8080", "bind 127.0.0.1:{}"),
    "traefik": ('address: ":8080"', 'address: "127.0.0.1:{}"'),
    "caddy": ("\n:8080 {{", "\n:{} {{\n\tbind 127.0.0.1"),
    "envoy": ("address: 0.0.0.0, port_value: 8080", "address: 127.0.0.1, port_value: {}"),
}


class HttpGateway(Gateway):
    """`balancer_port`: of nginx as a load balancer. `edits`: of its files, beyond addresses."""

    def __init__(
        self,
        name: str,
        folder: Path,
        keyrail: Sequence[int],
        service: int,
        key: str,
        edits: Mapping[str, str] = AS_IT_IS,
    ) -> None:
        port, self.balancer_port, questions, unavailable = free_ports(4)
        super().__init__(port)
        self.name, self.log = name, folder / f"{name}.log"
        addresses = {
            "keyrail-1:8080": keyrail[0],
            "keyrail-2:8080": keyrail[1],
            "inference:8000": service,
            "127.0.0.1:8090": self.balancer_port,
            "127.0.0.1:8091": questions,
            "127.0.0.1:8092": unavailable,
        }
        replaced = {self._spelled(told): self._spelled(f"127.0.0.1:{number}") for told, number in addresses.items()}
        replaced |= {f"/etc/{name}/": f"{folder}/", "/run/nginx.pid": f"{folder}/nginx.pid"}
        told, used = PUBLIC[name]
        replaced[told.format()] = used.format(port)
        replaced |= edits
        for file in OWN[name]:
            (folder / file).write_text(edited((FILES / file).read_text(), replaced))
        (folder / "keyrail-gateway-key.conf").write_text(f"proxy_set_header X-Keyrail-Gateway-Key {key};\n")
        env = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/bin", "KEYRAIL_GATEWAY_KEY": key}
        self.process = Child(name, self._command(folder), env, self.log)

    def _spelled(self, address: str) -> str:
        host, _, port = address.partition(":")
        return f"address: {host}, port_value: {port}" if self.name == "envoy" else address

    def _command(self, folder: Path) -> list[str]:
        own, config = Path(sys.executable).parent, str(folder / OWN[self.name][0])
        match self.name:
            case "nginx":
                return [debian("nginx"), "-p", str(folder), "-c", config, "-g", "daemon off;"]
            case "haproxy":
                return [debian("haproxy"), "-db", "-f", config]
            case "traefik":
                return [str(own / "traefik"), f"--configFile={config}"]
            case "envoy":
                return [str(own / "envoy"), "-c", config, *ENVOY_OPTIONS]
        return [str(own / "caddy"), "run", "--config", config, "--adapter", "caddyfile"]

    def is_up(self) -> bool:
        """It asks Keyrail, and gets its answer: without a key that is 401."""
        try:
            return self.get("/infer").status == 401
        except OSError:
            return False


def debian(program: str) -> str:
    found = shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert found, f"{program} is missing: apt-get install nginx-light haproxy"
    return found


@contextmanager
def http_gateway(
    name: str,
    folder: Path,
    keyrail: Sequence[int],
    service: int,
    key: str,
    edits: Mapping[str, str] = AS_IT_IS,
) -> Iterator[HttpGateway]:
    gateway = HttpGateway(name, folder, keyrail, service, key, edits)
    try:
        wait_until(gateway.is_up, gateway.process)
        yield gateway
    finally:
        gateway.process.stop()
