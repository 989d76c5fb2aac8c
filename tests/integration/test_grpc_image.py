"""The gRPC image, built by a real Docker engine: non-root, read-only, without any capability, with TLS from mounted
files, under its own identity in a real OpenBao."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import yaml
from canary import Canary
from deployed import Deployment
from docker_engine import DockerEngine
from grpc_container import Client, wait_until

from keyrail.dev.functions import answers
from keyrail.dev.openbao import OpenBao
from keyrail.dev.ports import free_ports
from own_ca import OwnCa


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    with DockerEngine() as running:
        yield running


@pytest.fixture(scope="module")
def image(engine: DockerEngine) -> str:
    tag = f"keyrail-test/grpc:{secrets.token_hex(4)}"
    size = engine.build("containers/grpc.Dockerfile", tag)
    print(f"\nimage of grpc: {size / 1e6:.0f} MB", end="")
    return tag


@pytest.fixture
def deployment(openbao: OpenBao, canary: Canary, tmp_path: Path) -> Iterator[Deployment]:
    yield (made := Deployment(openbao, tmp_path, canary))
    made.look_through()


def readable(file: Path, folder: Path) -> Path:
    """A copy for the numeric user of the image, who is nobody here."""
    copy = folder / f"mounted-{file.name}"
    shutil.copyfile(file, copy)
    copy.chmod(0o444)
    return copy


def test_a_keys_life_in_the_container_and_its_end_in_order(
    engine: DockerEngine, image: str, deployment: Deployment, tmp_path: Path
) -> None:
    ca, running = OwnCa(), f"keyrail-test-{secrets.token_hex(4)}"
    port, probe_port = free_ports(2)
    settings = deployment.environment("grpc")
    mounted = {"/run/secret-id": readable(Path(settings["KEYRAIL_VAULT_SECRET_ID_FILE"]), tmp_path)}
    chain, key = ca.issue("127.0.0.1").write(tmp_path, "tls")
    mounted |= {"/tls/tls.crt": readable(chain, tmp_path), "/tls/tls.key": readable(key, tmp_path)}
    settings |= {
        "KEYRAIL_VAULT_SECRET_ID_FILE": "/run/secret-id",
        "KEYRAIL_GRPC_TLS_CERT": "/tls/tls.crt",
        "KEYRAIL_GRPC_TLS_KEY": "/tls/tls.key",
        "KEYRAIL_GRPC_ADDRESS": f"127.0.0.1:{port}",
        "KEYRAIL_GRPC_PROBE_ADDRESS": f"127.0.0.1:{probe_port}",
    }
    options = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host"]
    options += [f"--env={name}={value}" for name, value in settings.items() if name.startswith(("KEYRAIL_", "VAULT_"))]
    options += [f"--volume={file}:{place}:ro" for place, file in mounted.items()]
    engine.run("run", "--detach", f"--name={running}", *options, image)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{probe_port}/readyz"))
        credentials = grpc.ssl_channel_credentials(ca.pem)
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            client = Client(channel, deployment.admin_key)
            made = client.issue(scopes=["ml:infer"])
            deployment.canary.knows_key(made.key)
            assert client.code_of(made.key, required_scopes="ml:infer") == "VALID"
            assert client.is_serving("keyrail.v1.KeyService")
        engine.run("stop", "--time=30", running)
        assert engine.run("inspect", "--format", "{{.State.ExitCode}}", running) == "0"
        logs = engine.run("logs", running)
        assert '"kind": "stopped"' in logs
        deployment.canary.search("the output of the gRPC image", logs)
    finally:
        engine.run("rm", "--force", running)


def test_it_runs_as_nobody_and_refuses_to_serve_in_plaintext(engine: DockerEngine, image: str) -> None:
    told = yaml.safe_load(engine.run("image", "inspect", image))[0]["Config"]
    assert told["User"] == "65532:65532"
    assert told["Cmd"] == ["python", "-m", "keyrail.triggers.grpc_server"]
    with pytest.raises(AssertionError, match="KEYRAIL_GRPC_PLAINTEXT"):
        engine.run("run", "--rm", "--network=none", "--env=KEYRAIL_STORE=memory", image)
