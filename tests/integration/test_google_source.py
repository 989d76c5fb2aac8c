"""The sources that `make dist` writes for Google Cloud, installed and run as Google's buildpack does, with what
infra/terraform gives them: the settings of its module gcp, and roles of its module vault, which they log in to by their
service account. Google itself can't be had here: a metadata server stands in."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bootstrapping import Place
from dev_process import eventually
from google_metadata import ISSUER, SUBJECT, Metadata
from lambda_world import Zips
from terraform_resources import applied, vault_resources, write

from keyrail.dev import interpreters
from keyrail.dev.functions import START_SECONDS, answers
from keyrail.dev.openbao import OpenBao
from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

PYTHON = "3.13"  # `runtime` of infra/terraform/gcp
FUNCTIONS = ("validate_key", "rotate")
AUDIENCE = "keyrail-tick"
VAULT = "https://vault.example.com:8200"  # what the tokens are for; it is reached at another address here
HANDED_ON = "SIGNATURE_REMOVED_BY_GOOGLE"  # what a private service gets in place of a signature
CLAIMS = {name: {"email": f"keyrail-{name.replace('_', '-')}@acme-keys.iam.gserviceaccount.com"} for name in FUNCTIONS}


@dataclass(frozen=True)
class Google:
    """Both functions, up."""

    urls: dict[str, str]
    admin_key: str
    scheduler: Metadata

    def post(self, function: str, path: str, bearer: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bearer}"}
        asked = urllib.request.Request(self.urls[function] + path, json.dumps(body).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(asked, timeout=20) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def tick(self, audience: str = AUDIENCE) -> str:
        return self.scheduler.token(audience, with_email=True)


def installed(zips: Zips, folder: Path) -> Path:
    """The commands of an environment with what requirements.txt of rotate pins, which needs more than the other."""
    subprocess.run([interpreters.find(PYTHON), "-m", "venv", folder], check=True)
    command = [folder / "bin/pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt"]
    subprocess.run(command, cwd=zips.dist / "rotate", check=True)
    return folder / "bin"


def settings(place: Place, folder: Path) -> dict[str, dict[str, str]]:
    """By function, as infra/terraform/gcp gives them."""
    mounts = {name: value for name, value in place.env.items() if name.endswith("_MOUNT")}
    told = applied(
        "gcp",
        folder,
        "-var=project_id=acme-keys",
        "-var=region=europe-west1",
        f"-var=vault_address={VAULT}",
        f"-var=vault_auth_mount={place.mount}-jwt",
        f"-var=settings={json.dumps(mounts)}",
        f"-var=functions={json.dumps(FUNCTIONS)}",
        '-var=public_functions=["rotate"]',
    )
    functions = [each for each in told if each["type"] == "google_cloudfunctions2_function"]
    return {each["index"]: each["values"]["service_config"][0]["environment_variables"] for each in functions}


def here(given: dict[str, str], place: Place, metadata: Metadata, keys: Path) -> dict[str, str]:
    """What is elsewhere on this machine, and what only Google knows."""
    ours = {"VAULT_ADDR": place.vault.address, "GCE_METADATA_HOST": metadata.host}
    ticks = {"KEYRAIL_TICK_OIDC_SUBJECT": SUBJECT, "KEYRAIL_TICK_OIDC_JWKS": str(keys)}
    return {**given, **ours, **(ticks if "KEYRAIL_TICK_OIDC_ISSUER" in given else {})}


@pytest.fixture(scope="module")
def google(openbao: OpenBao, zips: Zips, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    place, folder = Place.make(openbao), tmp_path_factory.mktemp("google")
    accounts = {name: Metadata(claims["email"]) for name, claims in CLAIMS.items()}
    for each in accounts.values():
        each.key = accounts["rotate"].key  # Google's, for all accounts
    jwt = {
        "path": f"{place.mount}-jwt",
        "discovery_url": ISSUER,
        "issuer": ISSUER,
        "audiences": [VAULT],
        "bound_claims": CLAIMS,
    }
    for kind, values in vault_resources(place, folder / "vault", f"-var=jwt={json.dumps(jwt)}"):
        if kind == "vault_jwt_auth_backend":  # this Vault can't ask Google for its keys
            place.root.sys.enable_auth_method("jwt", path=jwt["path"])
            known = {"jwt_validation_pubkeys": [accounts["rotate"].public_key], "bound_issuer": values["bound_issuer"]}
            place.root.write_data(f"auth/{jwt['path']}/config", data=known)
        else:
            write(place.root, kind, values)
    _, (admin_key,) = place.bootstrap(auth_mount=place.mount)
    given = settings(place, folder / "gcp")
    commands = installed(zips, folder / "venv")
    keys = folder / "keys.json"
    keys.write_text(accounts["rotate"].key_set)
    with ExitStack() as stack:
        urls = {}
        for name, account in accounts.items():
            stack.enter_context(account.serving())
            (port,) = free_ports(1)
            command = [str(commands / "functions-framework"), "--target=handler", "--host=127.0.0.1", f"--port={port}"]
            command.append(f"--source={zips.dist / name / 'main.py'}")
            env = here(given[name], place, account, keys) | {"PYTHONDONTWRITEBYTECODE": "1"}  # others read that folder
            child = Child(name, command, env, folder / f"{name}.log")
            stack.callback(child.stop)
            urls[name] = f"http://127.0.0.1:{port}"
        assert eventually(lambda: all(answers(f"{url}/readyz") for url in urls.values()), START_SECONDS)
        yield Google(urls, admin_key, accounts["rotate"])
    for name in FUNCTIONS:
        assert admin_key not in (folder / f"{name}.log").read_text()


@pytest.mark.parametrize("path", ["/v1/keys/validate", "/"])
def test_a_key_is_validated(google: Google, path: str) -> None:
    status, told = google.post("validate_key", path, google.admin_key, {"key": google.admin_key})
    assert (status, told["code"]) == (200, "VALID")


@pytest.mark.parametrize("path", ["/v1/rotation/tick", "/v1/rotation/sweep"])
def test_the_scheduler_ticks_by_googles_token(google: Google, path: str) -> None:
    status, told = google.post("rotate", path, google.tick(), {})
    assert (status, told["failed"]) == (200, 0)


def test_a_token_whose_signature_cloud_run_took_off_proves_nothing(google: Google) -> None:
    bare = f"{google.tick().rpartition('.')[0]}.{HANDED_ON}"
    status, told = google.post("rotate", "/v1/rotation/tick", bare, {})
    assert (status, told["code"]) == (401, "TOKEN_REFUSED")


def test_a_token_for_another_audience_ticks_nothing(google: Google) -> None:
    status, told = google.post("rotate", "/v1/rotation/tick", google.tick("keyrail-else"), {})
    assert (status, told["code"]) == (401, "TOKEN_REFUSED")


def test_a_tick_counts_for_nothing_where_there_is_no_clock(google: Google) -> None:
    status, _ = google.post("validate_key", "/v1/keys/validate", google.tick(), {"key": google.admin_key})
    assert status == 401
