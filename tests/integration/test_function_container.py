"""Functions as containers, built by a real Docker engine: non-root, read-only, without any capability, each under its
own identity in a real OpenBao."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from canary import Canary
from deployed import SOURCES, Deployment
from docker_engine import ROOT, DockerEngine

from keyrail.dev.functions import answers
from keyrail.dev.openbao import OpenBao
from keyrail.dev.ports import free_ports

NAMES = ("issue_key", "validate_key")
EPOCH = 1_700_000_000
START_SECONDS = 30.0
FILES = Path("/opt/keyrail"), Path("/srv")


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    with DockerEngine() as running:
        yield running


@pytest.fixture(scope="module")
def images(engine: DockerEngine) -> dict[str, str]:
    """The tags by function."""
    tags = {name: f"keyrail-test/{name}:{secrets.token_hex(4)}" for name in NAMES}
    for name, tag in tags.items():
        size = engine.build("containers/function.Dockerfile", tag, FUNCTION=name, SOURCE_DATE_EPOCH=str(EPOCH))
        print(f"\nimage of {name}: {size / 1e6:.0f} MB", end="")
    return tags


@pytest.fixture
def deployment(openbao: OpenBao, canary: Canary, tmp_path: Path) -> Iterator[Deployment]:
    """Bootstrapped; no process runs but those in containers."""
    yield (made := Deployment(openbao, tmp_path, canary))
    made.look_through()


@contextmanager
def container(engine: DockerEngine, image: str, name: str, deployment: Deployment) -> Iterator[str]:
    """The address of a ready one, run as docs/deploy/containers.md says."""
    (port,), running = free_ports(1), f"keyrail-test-{secrets.token_hex(4)}"
    settings = deployment.environment(name, PORT=str(port), HOST="127.0.0.1")
    secret = deployment.folder / f"{name}.secret-id"
    shutil.copyfile(settings["KEYRAIL_VAULT_SECRET_ID_FILE"], secret)
    secret.chmod(0o444)  # the numeric user of the image is nobody here
    settings["KEYRAIL_VAULT_SECRET_ID_FILE"] = "/run/secret-id"
    ours = {k: v for k, v in settings.items() if k.startswith(("KEYRAIL_", "VAULT_ADDR", "PORT", "HOST"))}
    options = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host"]
    options += [f"--env={name}={value}" for name, value in ours.items()]
    engine.run("run", "--detach", f"--name={running}", f"--volume={secret}:/run/secret-id:ro", *options, image)
    try:
        wait_until_ready(engine, running, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
        deployment.canary.search(f"the output of {name}'s container", engine.run("logs", running))
    finally:
        engine.run("rm", "--force", running)


def wait_until_ready(engine: DockerEngine, running: str, url: str) -> None:
    ends_at = time.monotonic() + START_SECONDS
    while not answers(f"{url}/readyz"):
        is_running = engine.run("inspect", "--format", "{{.State.Running}}", running) == "true"
        assert is_running, engine.run("logs", running)
        assert time.monotonic() < ends_at, engine.run("logs", running)
        time.sleep(0.1)


def test_a_keys_life_goes_through_two_containers(
    engine: DockerEngine, images: dict[str, str], deployment: Deployment
) -> None:
    with (
        container(engine, images["issue_key"], "issue_key", deployment) as issue_url,
        container(engine, images["validate_key"], "validate_key", deployment) as validate_url,
    ):
        deployment.api.url_of = {"issue_key": issue_url, "validate_key": validate_url}.__getitem__
        key = deployment.api.issue()
        assert deployment.api.code_of(key.text, required_scopes="ml:infer") == "VALID"
        assert deployment.api.code_of(key.text, required_scopes="ml:train") == "INSUFFICIENT_SCOPE"
        refused = deployment.api.call("validate_key", "POST", "/v1/keys", deployment.api.a_key())
        assert refused.code == "NO_SUCH_ROUTE"


def test_an_image_says_what_it_is_and_runs_as_nobody(engine: DockerEngine, images: dict[str, str]) -> None:
    told = yaml.safe_load(engine.run("image", "inspect", images["validate_key"]))[0]["Config"]
    assert told["User"] == "65532:65532"
    assert told["Cmd"] == ["functions-framework", "--source", "/srv/main.py", "--target", "handler"]
    labels = {name.rpartition(".")[2]: value for name, value in told["Labels"].items()}
    assert labels["title"] == "keyrail validate_key"
    assert labels["licenses"] == "Apache-2.0"
    assert f'version = "{labels["version"]}"' in (ROOT / "pyproject.toml").read_text()


def test_images_of_two_functions_share_all_but_their_main_py(engine: DockerEngine, images: dict[str, str]) -> None:
    first, second = (
        yaml.safe_load(engine.run("image", "inspect", images[name]))[0]["RootFS"]["Layers"] for name in NAMES
    )
    assert first[:2] == second[:2]
    assert len(first) == len(second)


def test_every_file_has_the_time_that_was_asked_for_and_its_pyc(engine: DockerEngine, images: dict[str, str]) -> None:
    look = f"""
import pathlib
files = [file for top in {[str(each) for each in FILES]} for file in pathlib.Path(top).rglob("*")]
print(sum(int(file.lstat().st_mtime) != {EPOCH} for file in files))
sources = [file for file in files if file.suffix == ".py" and "/keyrail/" in str(file) and "/lib/" in str(file)]
print(sum(not list((file.parent / "__pycache__").glob(file.stem + ".*.pyc")) for file in sources), len(sources) > 500)
"""
    assert engine.run("run", "--rm", "--network=none", images["issue_key"], "python3", "-c", look) == "0\n0 True"


def test_an_image_holds_no_other_function_no_test_and_no_pip(engine: DockerEngine, images: dict[str, str]) -> None:
    look = "ls /srv /opt/keyrail/bin; find /srv /opt /home /tmp -name policy.hcl"
    found = engine.run("run", "--rm", "--network=none", images["issue_key"], "sh", "-c", look).split()
    assert found[-1] == "main.py"
    assert "functions-framework" in found
    assert not {"pip", "pip3"} & set(found)


def test_without_a_function_nothing_is_built(engine: DockerEngine) -> None:
    with pytest.raises(AssertionError, match="functions/"):
        engine.build("containers/function.Dockerfile", "keyrail-test/none", SOURCE_DATE_EPOCH=str(EPOCH))


def test_every_function_has_a_main_py_to_copy() -> None:
    dockerfile = (ROOT / "containers/function.Dockerfile").read_text()
    assert "functions/${FUNCTION}/main.py" in dockerfile
    assert all((folder / "main.py").is_file() for folder in SOURCES.iterdir() if folder.is_dir())
