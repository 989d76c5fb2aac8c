"""A real OpenBao, set up as `keyrail bootstrap` does, with functions under their own identities and a store to fill."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from bench import machine
from keyrail.adapters.vault_documents import VaultPepperSource
from keyrail.adapters.vault_identities import read_identity
from keyrail.adapters.vault_keys import VaultKeyStore
from keyrail.adapters.vault_session import VaultSession
from keyrail.bootstrap import vault_config
from keyrail.dev.functions import Function, environment, wait_until_ready
from keyrail.dev.openbao import OpenBao
from keyrail.dev.ports import free_ports
from keyrail.domain.digest import Peppers
from keyrail.domain.key_format import KeyFormat, new_key_id, new_secret
from keyrail.domain.records import Generation, KeyRecord, Rotation
from keyrail.settings import load_settings
from keyrail.triggers.cli_bootstrap import Bootstrap

ROOT = Path(__file__).parent.parent
FUNCTIONS = ROOT / "functions"
EMPTY = Path(__file__).parent / "empty" / "main.py"
FORMAT = KeyFormat()
FILLING_THREADS = 16
TENANT = "acme"


class World:
    """Everything it starts ends on leaving the context."""

    def __init__(self, folder: Path, *, audit: bool = False) -> None:
        self.folder = folder
        self.vault = OpenBao(folder / "openbao", audit=audit)
        self._admin_key = ""
        self._logs = 0

    def __enter__(self) -> Self:
        self.vault.start()
        try:
            self._bootstrap()
        except BaseException:
            self.vault.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.vault.stop()

    @property
    def admin_key(self) -> str:
        return self._admin_key

    def _settings(self) -> dict[str, str]:
        return {"VAULT_ADDR": self.vault.address, "VAULT_TOKEN": self.vault.root_token, "KEYRAIL_FEED_POLL": "inline"}

    def _bootstrap(self) -> None:
        def keep(_key_id: str, key: str) -> None:
            self._admin_key = key

        settings = load_settings(self._settings())
        run = Bootstrap(settings, FUNCTIONS, keep, new_admin=True, identities=self.folder / "identities")
        for _ in run.steps():
            pass

    @contextlib.contextmanager
    def session(self) -> Iterator[VaultSession]:
        """As root: for what a measurement prepares."""
        session = VaultSession(vault_config(load_settings(self._settings())))
        try:
            yield session
        finally:
            session.close()

    def fill(self, count: int, **changes: object) -> list[str]:
        """`count` new keys of one tenant, whole; written through the key store."""
        everyone = machine.on_all_cores(os.getpid(), self.vault.pid)
        with everyone, self.session() as session, ThreadPoolExecutor(FILLING_THREADS) as threads:
            store, peppers = VaultKeyStore(session), VaultPepperSource(session).read()

            def make(_number: int) -> str:
                key, record = a_key(peppers, **changes)
                if not store.create(record):
                    raise RuntimeError(f"{record.key_id} is taken")
                return key

            return list(threads.map(make, range(count)))

    def start(self, name: str, **settings: str) -> Function:
        """The function on the measured core, starting, with `settings` on top of its identity."""
        identity = read_identity(self.folder / "identities", name)
        return self._start(name, FUNCTIONS / name / "main.py", identity | settings)

    def start_empty(self, **settings: str) -> Function:
        """The empty function, run the same way."""
        return self._start("empty", EMPTY, settings)

    def _start(self, name: str, main: Path, settings: dict[str, str]) -> Function:
        env = environment(self.vault.address, {"WORKERS": "1", **settings})
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        self._logs += 1
        log = self.folder / "logs" / f"{self._logs}-{name}.log"
        function = Function(name, main, env, log, free_ports(1)[0])
        machine.pin_to_the_measured_core(function.process.pid)
        return function

    @contextlib.contextmanager
    def function(self, name: str, **settings: str) -> Iterator["Server"]:
        """As `start`, ready, and stopped at the end."""
        with _ready(self.start(name, **settings)) as server:
            yield server

    @contextlib.contextmanager
    def empty(self, **settings: str) -> Iterator["Server"]:
        with _ready(self.start_empty(**settings)) as server:
            yield server


class Server:
    """A function's process. `pid` is gunicorn's master, `worker` the process that answers."""

    def __init__(self, function: Function) -> None:
        self.port = function.port
        self.pid = function.process.pid
        self.log = function.process.log
        (self.worker,) = machine.children_of(self.pid)


@contextlib.contextmanager
def _ready(function: Function) -> Iterator[Server]:
    try:
        wait_until_ready([function])
        yield Server(function)
    finally:
        function.process.stop()


def a_key(peppers: Peppers, **changes: object) -> tuple[str, KeyRecord]:
    """A whole key and its record, like one that issue_key makes."""
    now = datetime.now(UTC)
    key = FORMAT.assemble(new_key_id(), new_secret())
    presented = FORMAT.parse(key)
    digest = peppers.current_digest(presented.body)
    generation = Generation(n=1, digest=digest, pepper_version=peppers.current, state="current", activated_at=now)
    fields: dict[str, Any] = {
        "key_id": presented.key_id,
        "tenant": TENANT,
        "env": FORMAT.environment,
        "prefix": FORMAT.prefix,
        "owner": "team-ml",
        "name": "inference gateway",
        "created_at": now,
        "created_by": "0" * 16,
        "generations": (generation,),
        "rotation": Rotation(grace_seconds=3600, max_grace_seconds=86400),
        "labels": {"team": "vision", "stage": "production"},
        "scopes": ("ml:infer", "data:read", "models:read:vision/*"),
        "expires_at": now + timedelta(days=90),
        "lifetime_seconds": 90 * 24 * 3600,
    }
    return key, KeyRecord(**(fields | changes))
