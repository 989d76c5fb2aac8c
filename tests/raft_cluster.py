"""Three real OpenBao servers in one raft cluster on loopback, and Caddy before them, as one would run them.

Caddy sends everything to the node that says of itself that it is the active one: `GET /v1/sys/health` is 200 there,
429 on a standby and 503 on a sealed node.
"""

import contextlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from keyrail.dev import gateway
from keyrail.dev.functions import answers
from keyrail.dev.openbao import OpenBao, OpenBaoError
from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

NODES = 3
JOIN_SECONDS = 30.0
POLL_SECONDS = 0.02
HEALTH_EVERY = "250ms"
HEALTH_TIMEOUT = "1s"


class Node(OpenBao):
    """One of them. The first makes the cluster; others join it when they are first unsealed."""

    def __init__(self, folder: Path, name: str, port: int, first: "Node | None" = None) -> None:
        super().__init__(folder, port)
        self.name = name
        self._first = first

    def start(self) -> Self:
        """Unsealed when this returns, and active where it is the first and all alone."""
        if self._first is None and not (self.folder / "init.json").exists():
            return super().start()
        self.begin()
        self.wait_until_unsealed()
        return self

    def begin(self) -> None:
        """The process, still sealed."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / "data").mkdir(exist_ok=True, mode=0o700)
        self._spawn()

    def wait_until_unsealed(self) -> None:
        """A new one is told to join by its configuration, and takes the key once it has."""
        kept = json.loads(((self._first or self).folder / "init.json").read_text())
        self.root_token = kept["root_token"]
        ends_at = time.monotonic() + JOIN_SECONDS
        while self._call("GET", "/v1/sys/seal-status")["sealed"]:
            if time.monotonic() > ends_at:
                raise OpenBaoError(f"{self.name} was not unsealed in {JOIN_SECONDS:.0f} s:\n{self._log_tail()}")
            with contextlib.suppress(urllib.error.HTTPError):  # not joined yet
                self._call("PUT", "/v1/sys/unseal", {"key": kept["unseal_key"]})
            time.sleep(POLL_SECONDS)

    def is_leader(self) -> bool:
        """By its own word; False where it does not answer."""
        return self._process is not None and answers(f"{self.address}/v1/sys/health")

    def applied(self) -> int:
        """The last log entry that this node has made its own."""
        status = self._call("GET", "/v1/sys/leader")
        return int(status.get("raft_applied_index", 0))

    def _configuration(self) -> dict[str, Any]:
        config = super()._configuration()
        raft = config["storage"]["raft"]
        raft |= {"node_id": self.name, "autopilot_reconcile_interval": "200ms", "autopilot_update_interval": "200ms"}
        if self._first is not None:
            raft["retry_join"] = [{"leader_api_addr": self._first.address}]
        return config


class RaftCluster:
    """Has what the tests ask of one OpenBao: `address` (Caddy's), `root_token`, `folder`."""

    audit_log = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: list[Node] = []
        *ports, self._port = free_ports(NODES + 1)
        first = None
        for number, port in enumerate(ports):
            self.nodes.append(Node(folder / f"node-{number}", f"node-{number}", port, first))
            first = self.nodes[0]
        self._balancer: Child | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def root_token(self) -> str:
        return self.nodes[0].root_token

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            for node in self.nodes:
                node.start()
                if node is self.nodes[0]:
                    self._settle_soon()
            self._wait_for(self._all_vote, "not all nodes have a vote")
            self._balance()
            self._wait_for(lambda: answers(f"{self.address}/v1/sys/health"), "no leader behind Caddy")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._balancer is not None:
            self._balancer.stop()
        for node in self.nodes:
            node.kill()

    def leader(self) -> Node:
        """Raises: OpenBaoError where there is none just now."""
        for node in self.nodes:
            if node.is_leader():
                return node
        raise OpenBaoError("no node says that it leads")

    def kill_leader(self) -> Node:
        """SIGKILL; the others will notice by its silence."""
        node = self.leader()
        os.kill(node.pid, signal.SIGKILL)
        return node

    def restart(self, node: Node) -> None:
        """Back in the cluster when this returns, with all that happened meanwhile."""
        node.kill()
        node.start()
        self._wait_for(lambda: node.applied() >= self.leader().applied() - 20, f"{node.name} did not catch up")

    def wait_for_leader(self) -> Node:
        self._wait_for(lambda: any(node.is_leader() for node in self.nodes), "no leader was elected")
        return self.leader()

    def _settle_soon(self) -> None:
        """A node that joined votes after it was healthy for so long; by default that are ten seconds."""
        settings = {"server_stabilization_time": "1s"}
        self._as_root("POST", "/v1/sys/storage/raft/autopilot/configuration", settings)

    def _all_vote(self) -> bool:
        config = self._as_root("GET", "/v1/sys/storage/raft/configuration")["data"]["config"]
        return [server["voter"] for server in config["servers"]] == [True] * NODES

    def _as_root(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"X-Vault-Token": self.root_token, "Content-Type": "application/json"}
        request = urllib.request.Request(self.nodes[0].address + path, json.dumps(body).encode(), headers)
        request.method = method
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer: dict[str, Any] = json.loads(reply.read() or b"{}")
            return answer

    def _wait_for(self, is_so: Any, otherwise: str) -> None:
        ends_at = time.monotonic() + JOIN_SECONDS
        while True:
            with contextlib.suppress(OSError, OpenBaoError):
                if is_so():
                    return
            if time.monotonic() > ends_at:
                raise OpenBaoError(otherwise)
            time.sleep(POLL_SECONDS)

    def _balance(self) -> None:
        config = self.folder / "caddy.json"
        config.write_text(_configuration(self._port, [node.address.removeprefix("http://") for node in self.nodes]))
        command, env = gateway.command(config), gateway.environment(self.folder)
        self._balancer = Child("balancer", command, env, self.folder / "balancer.log")


def _configuration(port: int, nodes: list[str]) -> str:
    health = {"uri": "/v1/sys/health", "interval": HEALTH_EVERY, "timeout": HEALTH_TIMEOUT, "expect_status": 200}
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": node} for node in nodes],
        "health_checks": {"active": health},
    }
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [proxy]}],
    }
    config = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR", "exclude": ["http.log.error"]}}},  # it logs tokens
        "apps": {"http": {"servers": {"vault": server}}},
    }
    return json.dumps(config, indent=1)
