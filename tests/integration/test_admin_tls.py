"""`keyrail bootstrap` and `doctor` over TLS, to a server that asks for a client certificate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
from bootstrapping import FUNCTIONS
from dev_process import run_here

from keyrail.dev.openbao import OpenBao, Tls


@pytest.fixture(scope="module")
def env(root: hvac.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings that lead to such a server, good for nothing else."""
    folder = tmp_path_factory.mktemp("admin-tls")
    ca, cert, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    root.sys.enable_secrets_engine("pki", path="pki-admin")

    def write(path: str, **data: Any) -> Any:
        return root.write_data(f"pki-admin/{path}", data=data)["data"]

    ca.write_text(write("root/generate/internal", common_name="CA", key_type="ec")["certificate"])
    write("roles/any", allow_any_name=True, allow_ip_sans=True, key_type="ec")
    leaf = write("issue/any", common_name="vault.test", ip_sans="127.0.0.1", ttl="1h")
    root.sys.disable_secrets_engine("pki-admin")
    cert.write_text(leaf["certificate"])
    key.write_text(leaf["private_key"])
    with OpenBao(folder / "server", tls=Tls(cert, key, ca, client_ca=ca)) as server:
        yield {
            "VAULT_ADDR": server.address,
            "VAULT_TOKEN": server.root_token,
            "VAULT_CACERT": str(ca),
            "VAULT_CLIENT_CERT": str(cert),
            "VAULT_CLIENT_KEY": str(key),
        }


def test_both_work_with_its_ca_and_a_client_certificate(env: dict[str, str], tmp_path: Path) -> None:
    options = ("--functions", str(FUNCTIONS), "--identities", str(tmp_path / "ids"))
    done = run_here("bootstrap", *options, "--admin-key-file", str(tmp_path / "admin.key"), **env)
    assert done.returncode == 0, done.stderr
    checked = run_here("doctor", *options, **env)
    assert checked.returncode == 0, checked.stdout
    assert "ok    transport: TLS" in checked.stdout


@pytest.mark.parametrize(
    ("change", "exit_code", "told"),
    [
        ({"VAULT_CACERT": ""}, 3, "its certificate is not trusted"),
        ({"VAULT_CACERT": "/nowhere/ca.pem"}, 2, "a TLS file can't be read"),
        ({"VAULT_CLIENT_CERT": "", "VAULT_CLIENT_KEY": ""}, 3, "GET sys/mounts"),
    ],
)
def test_without_one_of_them_nothing_is_sent(
    change: dict[str, str], exit_code: int, told: str, env: dict[str, str]
) -> None:
    done = run_here("bootstrap", "--functions", str(FUNCTIONS), **{**env, **change})
    assert (done.returncode, done.stdout) == (exit_code, ""), done.stderr
    assert told in done.stderr
    assert env["VAULT_TOKEN"] not in done.stderr
