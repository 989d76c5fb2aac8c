"""The whole of Keyrail on this machine: OpenBao, each function under its own identity, and one port before them.

    with System(folder, functions, port, say) as system:
        system.watch()  # system.url answers

The folder keeps what outlives a run: openbao/, identities/, admin.key and admin.curl (mode 0600), logs/.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from keyrail.adapters.private_files import read_private, write_private
from keyrail.adapters.vault_identities import read_identity
from keyrail.dev import gateway
from keyrail.dev.api_page import NoAssets, write_api_page
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
from keyrail.operations.catalogue import CATALOGUE
from keyrail.settings import load_settings
from keyrail.triggers.cli_bootstrap import Bootstrap

GATEWAY_SECONDS = 15.0
POLL_SECONDS = 0.5
SILENT_POLLS = 3  # of OpenBao in a row: one may be lost on a busy machine
Say = Callable[[str], None]


class CannotRun(Exception):
    """The message says why, and what to do."""


class System:
    """With `with_docs` the API page is at /docs. Everything started ends on leaving the context: in order, or at once
    where nothing of it `outlives` the run, which saves two seconds."""

    def __init__(
        self,
        folder: Path,
        functions: Path,
        port: int,
        say: Say,
        *,
        with_docs: bool = False,
        outlives: bool = True,
    ) -> None:
        self.folder = folder.absolute()
        self.url = f"http://127.0.0.1:{port}"
        self.admin_key_file = self.folder / "admin.key"
        self.admin_curl_file = self.folder / "admin.curl"
        self._port, self._sources, self._say = port, functions.absolute(), say
        self._with_docs, self._outlives = with_docs, outlives
        self._stack = contextlib.ExitStack()
        self._functions: list[Function] = []
        self._gateway: Child | None = None
        self.vault = OpenBao(self.folder / "openbao")

    def __enter__(self) -> Self:
        """Returns when every function is ready. Raises: CannotRun, OpenBaoError, FunctionError, GatewayError."""
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def watch(self) -> None:
        """Until something ends that should not. Raises: FunctionError, CannotRun."""
        silent = 0
        while True:
            for function in self._functions:
                function.require_running()
            if self._gateway is not None and not self._gateway.is_running():
                raise CannotRun(f"the gateway ended {self._gateway.epitaph()}")
            silent = 0 if answers(f"{self.vault.address}/v1/sys/health") else silent + 1
            if silent == SILENT_POLLS:
                raise CannotRun(f"OpenBao answers no more; its log is {self.folder / 'openbao' / 'server.log'}")
            time.sleep(POLL_SECONDS)

    def _start(self) -> None:
        sources = find_functions(self._sources)
        if not sources:
            raise CannotRun(f"{self._sources} holds no functions; point --functions at the folder that does")
        self._require_free_port()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_folder()
        self._say("OpenBao starts ...")
        self._stack.enter_context(self.vault)
        if not self._outlives:
            self._stack.callback(self.vault.kill)
        self._say(f"OpenBao is up at {self.vault.address}")
        self._bootstrap()
        self._start_functions(sources, self.vault.address)
        self._start_gateway()

    def _require_free_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self._port))
            except OSError as error:
                text = f"port {self._port} is taken ({error.strerror}): choose another one (make run PORT=8081)"
                raise CannotRun(text) from error

    def _lock_folder(self) -> None:
        lock = self._stack.enter_context((self.folder / "lock").open("a+"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotRun(f"{self.folder} is in use by another `keyrail dev`: stop that one first") from error

    def _bootstrap(self) -> None:
        settings = load_settings(
            {
                **{k: v for k, v in os.environ.items() if k in ("KEYRAIL_PREFIX", "KEYRAIL_ENVIRONMENT")},
                "VAULT_ADDR": self.vault.address,
                "VAULT_TOKEN": self.vault.root_token,
                "KEYRAIL_FEED_POLL": "inline",
            }
        )
        run = Bootstrap(
            settings,
            self._sources,
            lambda _, key: write_private(self.admin_key_file, key),
            new_admin=not self.admin_key_file.exists(),
            replace_dead_admin=True,
            identities=self.folder / "identities",
        )
        outcomes = [step.outcome for step in run.steps()]
        made = sum(outcome != "kept" for outcome in outcomes)
        self._say(f"Vault is set up: {made} of {len(outcomes)} steps were due")
        write_private(self.admin_curl_file, f'header = "Authorization: Bearer {read_private(self.admin_key_file)}"')

    def _start_functions(self, sources: dict[str, Path], vault_address: str) -> None:
        self._say(f"{len(sources)} functions start ...")
        self._stack.callback(self._stop_functions)
        for (name, main), port in zip(sources.items(), free_ports(len(sources)), strict=True):
            env = environment(vault_address, read_identity(self.folder / "identities", name))
            function = Function(name, main, env, self.folder / "logs" / f"{name}.log", port)
            self._functions.append(function)
        wait_until_ready(self._functions)
        self._say(f"{len(sources)} functions are ready")

    def _stop_functions(self) -> None:
        """Side by side: each may take a moment to finish what it has."""
        for function in self._functions:
            if self._outlives:
                function.process.ask_to_stop()
            else:
                function.process.kill()
        for function in self._functions:
            function.process.stop()

    def _start_gateway(self) -> None:
        folder = self.folder / "gateway"
        folder.mkdir(exist_ok=True, mode=0o700)
        config = folder / "caddy.json"
        port_of = {function.name: function.port for function in self._functions}
        offered = function_of_operation(find_functions(self._sources))
        ports = {operation: port_of[function] for operation, function in offered.items() if function in port_of}
        operations = [operation for operation in CATALOGUE if operation.name in ports]
        config.write_text(gateway.configuration(self._port, operations, ports, self._api_page()))
        log = self.folder / "logs" / "gateway.log"
        self._gateway = Child("gateway", gateway.command(config), gateway.environment(folder), log)
        self._stack.callback(self._gateway.stop)
        ends_at = time.monotonic() + GATEWAY_SECONDS
        while not answers(f"{self.url}/health/{self._functions[0].name}/livez"):
            if not self._gateway.is_running() or time.monotonic() > ends_at:
                raise CannotRun(f"the gateway did not come up {self._gateway.epitaph()}")
            time.sleep(0.05)

    def _api_page(self) -> Path | None:
        """Its folder; None where it was not asked for, or its assets are not installed."""
        if not self._with_docs:
            return None
        try:
            write_api_page(self.folder / "docs")
        except NoAssets as error:
            self._say(f"No API page: {error}")
            return None
        return self.folder / "docs"
