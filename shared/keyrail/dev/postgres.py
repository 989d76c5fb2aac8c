"""A real PostgreSQL in a folder of its own, on a free port of 127.0.0.1, gone at the end of the block.

Every command here runs a program of the installed PostgreSQL with arguments of this package.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

ADMIN = "keeper"  # what Vault logs in as
START_SECONDS = 60.0
INSTALL = "PostgreSQL is not installed. As root: tests/install-debian-packages (or apt-get install postgresql)"
_UNPRIVILEGED = ("postgres", "nobody")  # initdb refuses root


class NoPostgreSQL(Exception):
    """It is not installed, or did not do what it was asked."""


class PostgreSQL:
    def __init__(self) -> None:
        self.admin_password = secrets.token_hex(16)
        (self.port,) = free_ports(1)
        self._binaries = _binaries()
        self._user = _user() if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="keyrail-postgres-"))
        self.log = self._folder / "server.log"
        self._server: Child | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            with suppress(ProcessLookupError):
                os.kill(self._server.pid, signal.SIGINT)  # open connections are ended, too
            self._server.stop()
            self._server = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def answer(self, user: str, password: str, statement: str = "select current_user") -> str | None:
        """What the statement gives; None where the login is refused."""
        command = [str(self._binaries / "psql"), "-XtAwq", "-h", "127.0.0.1", "-p", str(self.port), "-U", user]
        done = subprocess.run(  # noqa: S603
            [*command, "-d", "postgres", "-c", statement],
            env={"PGPASSWORD": password, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout.strip()
        if "password authentication failed" not in done.stderr:
            raise NoPostgreSQL(done.stderr)
        return None

    def make_user(self, name: str) -> None:
        """One that can log in once Vault has given it a password."""
        self.run_as_admin(f"create role {name} login password 'none yet'")

    def run_as_admin(self, statement: str) -> str:
        """What the statement gives. Raises: NoPostgreSQL."""
        told = self.answer(ADMIN, self.admin_password, statement)
        if told is None:
            raise NoPostgreSQL("the admin's login was refused")
        return told

    def _start(self) -> None:
        password_file, data = self._folder / "password", self._folder / "data"
        password_file.write_text(self.admin_password)
        if self._user is not None:
            for path in (self._folder, password_file):
                shutil.chown(path, self._user)
        options = ["--username", ADMIN, "--pwfile", str(password_file), "--auth", "scram-sha-256"]
        made = subprocess.run(  # noqa: S603
            [
                *self._as_user(),
                str(self._binaries / "initdb"),
                "--no-sync",
                "--no-locale",
                "-E",
                "UTF8",
                *options,
                "-D",
                str(data),
            ],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if made.returncode != 0:
            raise NoPostgreSQL(made.stderr)
        command = [*self._as_user(), str(self._binaries / "postgres"), "-D", str(data), "-p", str(self.port), "-F"]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}"]
        self._server = Child("postgres", command, {"PATH": os.environ["PATH"]}, self.log)
        self._wait(self._server)

    def _as_user(self) -> list[str]:
        if self._user is None:
            return []
        return ["setpriv", f"--reuid={self._user}", f"--regid={pwd.getpwnam(self._user).pw_gid}", "--clear-groups"]

    def _wait(self, server: Child) -> None:
        ends_at = time.monotonic() + START_SECONDS
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, timeout=30, check=False).returncode != 0:  # noqa: S603
            if not server.is_running() or time.monotonic() > ends_at:
                raise NoPostgreSQL(f"it does not come up {server.epitaph()}")
            time.sleep(0.1)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    beside = shutil.which("initdb")
    if beside is None:
        raise NoPostgreSQL(INSTALL)
    return Path(beside).parent


def _user() -> str:
    for name in _UNPRIVILEGED:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoPostgreSQL("there is no user postgres or nobody to run it as")
