"""`make example`: nobody notices, what was replaced is dead, and who lacks something is refused."""

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from canary import Canary
from dev_process import descendants, still_alive

from stage.__main__ import main
from stage.load import Seen
from stage.pipeline import Pipeline
from stage.rotations import Rotations, status_of
from stage.table import Outcome

DATA, INFER = "/pipeline.v1.Data/GetFlower", "/pipeline.v1.Inference/Infer"
FLOWER_1 = b"\x08\x01"  # FlowerId{id: 1}
SECONDS = 5.0


@dataclass(frozen=True)
class Shown:
    """One whole run of three rounds, and what was tried by hand while all was up."""

    exit_code: int
    printed: str
    tried: dict[str, object]
    found_in_logs: set[str]
    searched: int
    started: set[int]
    scratch: Path

    def told(self, row: str) -> str:
        (line,) = (line for line in self.printed.splitlines() if line.strip().startswith(row))
        return line.removeprefix(f"  {row}").strip()


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    """Not in pytest's own folder: that is closed to the user that PostgreSQL runs as."""
    scratch, output, seen = Path(tempfile.mkdtemp(prefix="keyrail-test-")), io.StringIO(), Witness()
    scratch.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output):
        patch.setattr(tempfile, "tempdir", str(scratch))
        exit_code = main(["--rounds", "3"], then=seen.look)
    yield Shown(exit_code, output.getvalue(), seen.tried, seen.canary.hits, seen.searched, seen.started, scratch)
    shutil.rmtree(scratch)


class Witness:
    def __init__(self) -> None:
        self.tried: dict[str, object] = {}
        self.canary, self.searched = Canary(), 0
        self.started: set[int] = set()
        self._others = descendants(os.getpid())  # of the tests beside this one

    def look(self, pipeline: Pipeline, rotations: Rotations) -> None:
        self.started = descendants(os.getpid()) - self._others
        self._replaced(pipeline, rotations)
        self._at_the_gateway(pipeline)
        self._behind_it(pipeline)
        self._secrets(pipeline, rotations)
        self._what_falls(pipeline)

    def _replaced(self, pipeline: Pipeline, rotations: Rotations) -> None:
        api = pipeline.administrator.api
        self.tried["old keys"] = [
            api.call("POST", "/v1/keys/validate", body={"key": key})["code"] for key in rotations.old_keys
        ]
        user, password = pipeline.administrator.database_login()
        self.tried["old passwords"] = [pipeline.postgres.answer(user, old) for old in rotations.old_passwords]
        self.tried["the password of now"] = pipeline.postgres.answer(user, password)

    def _at_the_gateway(self, pipeline: Pipeline) -> None:
        client, reader = pipeline.client_key_file.read_text(), self._reader(pipeline)
        for who, key in (("client", client), ("reader", reader), ("nobody", "")):
            self.tried[who] = [status_of(pipeline, path, key) for path in ("/infer/1", "/data/1", "/other")]
        with grpc.insecure_channel(f"127.0.0.1:{pipeline.ports['gateway']}") as channel:
            for who, key in (("client", client), ("reader", reader), ("nobody", "")):
                self.tried[f"{who}, gRPC"] = [answer(channel, rpc, key) for rpc in (INFER, DATA)]

    def _behind_it(self, pipeline: Pipeline) -> None:
        ca, pair = (pipeline.folder / "ca.pem").read_bytes(), (pipeline.folder / "gateway" / "tls.pem").read_bytes()
        reader = self._reader(pipeline)
        for name, rpc in (("data", DATA), ("inference", INFER), ("keyrail", "/keyrail.v1.KeyService/ValidateKey")):
            host = {"keyrail": "keyrail.svc"}.get(name, f"{name}.acme.svc")
            options = [("grpc.ssl_target_name_override", host), ("grpc.use_local_subchannel_pool", 1)]
            address = f"127.0.0.1:{pipeline.ports[name]}"
            with grpc.secure_channel(address, grpc.ssl_channel_credentials(ca), options) as channel:
                self.tried[f"{name}, no certificate"] = answer(channel, rpc, reader)
            with grpc.insecure_channel(address, options) as channel:
                self.tried[f"{name}, no TLS"] = answer(channel, rpc, reader)
            with grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, pair, pair), options) as channel:
                self.tried[f"{name}, a certificate"] = [answer(channel, rpc, key) for key in (reader, "")]

    def _what_falls(self, pipeline: Pipeline) -> None:
        key = pipeline.client_key_file.read_text()
        pipeline.postgres.__exit__()
        self.tried["without the database"] = [status_of(pipeline, path, key) for path in ("/infer/1", "/data/1")]
        pipeline.keyrail.stop()
        self.tried["without Keyrail"] = [status_of(pipeline, path, key) for path in ("/infer/1", "/data/1")]

    def _reader(self, pipeline: Pipeline) -> str:
        key = str(pipeline.administrator.key("reader", "data:read")["key"])
        self.canary.knows_key(key)
        return key

    def _secrets(self, pipeline: Pipeline, rotations: Rotations) -> None:
        canary, folder = self.canary, pipeline.folder
        for key in (*rotations.old_keys, *(file.read_text() for file in folder.glob("*/api-key"))):
            canary.knows_key(key)
        canary.knows_key(pipeline.system.admin_key_file.read_text().strip())
        for password in (*rotations.old_passwords, pipeline.administrator.database_login()[1]):
            canary.knows("a password", password)
        canary.knows("the database admin's password", pipeline.postgres.admin_password)
        canary.knows("the root token", pipeline.system.vault.root_token)
        for file in (folder / "keyrail" / "identities").glob("*.secret-id"):
            canary.knows("a secret id", file.read_text())
        logs = [*folder.rglob("*.log"), pipeline.postgres.log]
        for log in logs:
            canary.search(log.name, log.read_text(errors="replace"))
        canary.search("the list of processes", arguments_of(self.started))
        self.searched = len(logs)


def answer(channel: grpc.Channel, rpc: str, key: str) -> str:
    """The species, or the status."""
    try:
        call: Callable[..., bytes] = channel.unary_unary(rpc)
        got = call(FLOWER_1, metadata=(("authorization", f"Bearer {key}"),) if key else (), timeout=SECONDS)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "setosa" if b"setosa" in got else "something else"


def arguments_of(pids: set[int]) -> str:
    listed = ",".join(map(str, pids))
    return subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", listed], capture_output=True, text=True, check=False
    ).stdout


def test_nobody_notices(shown: Shown) -> None:
    assert shown.exit_code == 0, shown.printed
    assert (shown.told("refused"), shown.told("failed")) == ("0", "0")
    assert int(shown.told("requests")) > 200
    assert "Nobody noticed." in shown.printed


def test_each_kind_was_rotated(shown: Shown) -> None:
    kinds = ("the client's key", "the inference service's key", "the database's password")
    assert [shown.told(f"rotations of {kind}") for kind in kinds] == ["3", "3", "3"]
    assert int(shown.told("rotations of Keyrail's certificate")) >= 1
    assert int(shown.told("rotations of the services' certificates")) >= 3  # each of them, at least once
    assert int(shown.told("times that a client read its key anew")) >= 4  # each of them, at least once


def test_what_was_replaced_is_dead(shown: Shown) -> None:
    assert shown.tried["old keys"] == ["ROTATED_OUT"] * 6
    assert shown.tried["old passwords"] == [None] * 3
    assert shown.tried["the password of now"] == "acme_flowers"
    assert shown.told("replaced keys and passwords that are still accepted") == "0"


@pytest.mark.parametrize(
    ("who", "http", "over_grpc"),
    [
        ("client", [200, 200, 404], ["setosa", "setosa"]),
        ("reader", [403, 200, 404], ["PERMISSION_DENIED", "setosa"]),
        ("nobody", [401, 401, 404], ["UNAUTHENTICATED", "UNAUTHENTICATED"]),
    ],
)
def test_the_gateway_lets_in_whom_it_should(shown: Shown, who: str, http: list[int], over_grpc: list[str]) -> None:
    assert shown.tried[who] == http
    assert shown.tried[f"{who}, gRPC"] == over_grpc


@pytest.mark.parametrize("service", ["data", "inference", "keyrail"])
def test_nothing_is_served_without_a_certificate(shown: Shown, service: str) -> None:
    assert shown.tried[f"{service}, no certificate"] == "UNAVAILABLE"
    assert shown.tried[f"{service}, no TLS"] == "UNAVAILABLE"


def test_a_service_asks_again_what_the_gateway_has_asked(shown: Shown) -> None:
    assert shown.tried["data, a certificate"] == ["setosa", "UNAUTHENTICATED"]
    assert shown.tried["inference, a certificate"] == ["PERMISSION_DENIED", "UNAUTHENTICATED"]


def test_what_can_not_be_answered_is_503(shown: Shown) -> None:
    assert shown.tried["without the database"] == [503, 503]
    assert shown.tried["without Keyrail"] == [503, 503]


def test_no_secret_is_in_a_log_or_in_the_list_of_processes(shown: Shown) -> None:
    assert shown.searched >= 18  # nine functions, their gateway, OpenBao, PostgreSQL, three servers, Envoy, four agents
    assert shown.found_in_logs == set()


def test_the_run_leaves_nothing(shown: Shown) -> None:
    assert len(shown.started) > 30
    assert still_alive(shown.started) == set()
    assert list(shown.scratch.iterdir()) == []


GOOD = {"a key": 1, "a password": 1}


@pytest.mark.parametrize(
    ("seen", "rotated", "still_accepted"),
    [
        (Seen(requests=9, refused=1), GOOD, 0),
        (Seen(requests=9, failed=1), GOOD, 0),
        (Seen(requests=0), GOOD, 0),
        (Seen(requests=9), {**GOOD, "a password": 0}, 0),
        (Seen(requests=9), GOOD, 1),
    ],
)
def test_a_run_in_which_anything_went_wrong_is_not_good(
    seen: Seen, rotated: dict[str, int], still_accepted: int
) -> None:
    assert not Outcome(seen, rotated, still_accepted).is_good
    assert Outcome(Seen(requests=9), GOOD, 0).is_good
