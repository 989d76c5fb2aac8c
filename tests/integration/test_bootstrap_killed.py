"""`keyrail bootstrap` killed (SIGKILL) around each of its writes, and run again: it always ends up the same.

A proxy before Vault counts the writes and kills the command, before it passes one on or after.
"""

import http.client
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from bootstrapping import FUNCTIONS, Place

from keyrail.adapters.vault_checks import VaultChecks
from keyrail.adapters.vault_setup import read_policies
from keyrail.dev.openbao import OpenBao

TWO = ("issue_key", "rotate")  # all seven would only be more of the same
# 3 mounts and their settings, 2 policies, 2 roles, pepper, roles, feed; claim, index, record, mark; 2 secret ids
WRITES = 13 + 4 + 2
CLAIM = 14  # the first of the admin key's writes


class KillingProxy:
    """`on_write` is told each write's number, before it is passed on and after; True drops the connection."""

    def __init__(self, vault: str, on_write: Callable[[int, str], bool]) -> None:
        self.writes = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(urlsplit(vault).netloc, on_write))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "KillingProxy":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self, vault: str, on_write: Callable[[int, str], bool]) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                is_write = self.command in ("POST", "PUT") and not self.path.endswith("/lookup")
                proxy.writes += is_write
                if is_write and on_write(proxy.writes, "before"):
                    self.close_connection = True
                    return
                upstream = http.client.HTTPConnection(vault)
                upstream.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k != "Host"})
                answer = upstream.getresponse()
                content = answer.read()
                upstream.close()
                if is_write and on_write(proxy.writes, "after"):
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_LIST = pass_on

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def place(openbao: OpenBao) -> Iterator[Place]:
    made = Place.make(openbao)
    if "approle/" not in made.root.sys.list_auth_methods():  # else whoever comes first has one write more
        made.root.sys.enable_auth_method("approle")
    yield made
    made.remove()


@pytest.fixture
def two_functions(tmp_path: Path) -> Path:
    for name in TWO:
        shutil.copytree(FUNCTIONS / name, tmp_path / "functions" / name)
    return tmp_path / "functions"


def run_until(place: Place, functions: Path, folder: Path, number: int, moment: str) -> int:
    """The command, killed around its write `number`; the writes that were begun."""
    arguments = ("--functions", str(functions), "--identities", str(folder / "ids"))

    def kill(write: int, when: str) -> bool:
        if (write, when) != (number, moment):
            return False
        process.kill()
        process.wait()
        return True

    with KillingProxy(place.vault.address, kill) as proxy:
        key_file = str(folder / "admin.key")
        process = place.start("bootstrap", *arguments, "--admin-key-file", key_file, VAULT_ADDR=proxy.address)
        with process:
            process.communicate(timeout=60)
        return proxy.writes


def assert_whole(place: Place, functions: Path, folder: Path) -> None:
    """Everything is there and in order, and of all admin keys ever made only the one in the file is alive."""
    plan = place.plan_of(read_policies(functions))
    for what, check in VaultChecks(place.admin, plan, is_tls=False, is_loopback=True).of_setup():
        assert check(), what
    key = (folder / "admin.key").read_text().strip()
    assert place.code_of(key) == "VALID"
    assert place.live_admin_keys() == [key.split("_")[2]]
    steps, keys = place.bootstrap(functions=functions, identities=folder / "ids")
    assert {step.outcome for step in steps} == {"kept"}
    assert keys == []


def test_the_writes_are_as_counted(place: Place, two_functions: Path, tmp_path: Path) -> None:
    assert run_until(place, two_functions, tmp_path, 0, "never") == WRITES
    assert_whole(place, two_functions, tmp_path)


@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_killed_after_a_write_the_next_run_finishes(
    number: int, place: Place, two_functions: Path, tmp_path: Path
) -> None:
    assert run_until(place, two_functions, tmp_path, number, "after") == number
    run_until(place, two_functions, tmp_path, 0, "never")
    assert_whole(place, two_functions, tmp_path)


@pytest.mark.parametrize("number", range(CLAIM, WRITES + 1))
def test_killed_before_a_write_whose_file_is_there_already(
    number: int, place: Place, two_functions: Path, tmp_path: Path
) -> None:
    """The key file, or a secret id's, was written for a write that never came."""
    assert run_until(place, two_functions, tmp_path, number, "before") == number
    run_until(place, two_functions, tmp_path, 0, "never")
    assert_whole(place, two_functions, tmp_path)


def test_killed_again_and_again_it_still_ends(place: Place, two_functions: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3, 4, 4, 3, 2, 1, 2, 3):
        run_until(place, two_functions, tmp_path, number, "after")
    run_until(place, two_functions, tmp_path, 0, "never")
    assert_whole(place, two_functions, tmp_path)
