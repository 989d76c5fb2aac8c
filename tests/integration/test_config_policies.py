"""What each function may do in the config mount and in the database engine, by the answers of a real server.

Every cell that the table does not name must be refused with 403.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests

from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_setup import Plan, read_policies, set_up
from keyrail.dev.openbao import OpenBao

FUNCTIONS = Path(__file__).parents[2] / "functions"
NAME = "acme/models/openai"

# what is asked: method, path, body; {new} is another one each time
CELLS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "read": ("GET", "{config}/data/{name}", None),
    "read an old version": ("GET", "{config}/data/{name}?version=1", None),
    "read versions": ("GET", "{config}/metadata/{name}", None),
    "create": ("POST", "{config}/data/acme/{new}", {"data": {}, "options": {"cas": 0}}),
    "update": ("POST", "{config}/data/{name}", {"data": {}, "options": {"cas": "{version}"}}),
    "destroy versions": ("POST", "{config}/destroy/{name}", {"versions": [1]}),
    "delete": ("DELETE", "{config}/data/{name}", None),
    "delete versions": ("POST", "{config}/delete/{name}", {"versions": [1]}),
    "undelete": ("POST", "{config}/undelete/{name}", {"versions": [1]}),
    "write metadata": ("POST", "{config}/metadata/{name}", {"max_versions": 1}),
    "delete metadata": ("DELETE", "{config}/metadata/{name}", None),
    "list tenants": ("LIST", "{config}/metadata/", None),
    "list a tenant": ("LIST", "{config}/metadata/acme", None),
    "list by query": ("GET", "{config}/metadata/acme/?list=true", None),
    "scan": ("SCAN", "{config}/metadata/acme", None),
    "read the mount's settings": ("GET", "{config}/config", None),
    "write the mount's settings": ("POST", "{config}/config", {"cas_required": False}),
    "read live credentials": ("GET", "{database}/static-creds/acme_none", None),
    "read a static role": ("GET", "{database}/static-roles/acme_none", None),
    "write a static role": ("POST", "{database}/static-roles/acme_none", {"db_name": "none"}),
    "rotate a static role": ("POST", "{database}/rotate-role/acme_none", {}),
    "rotate the root login": ("POST", "{database}/rotate-root/none", {}),
    "read a connection": ("GET", "{database}/config/none", None),
    "make credentials": ("GET", "{database}/creds/acme_none", None),
}
READS = {"read", "read an old version"}
LISTS = {"list tenants", "list a tenant", "list by query"}
ALLOWED = {name: set[str]() for name in read_policies(FUNCTIONS)} | {
    "read_config": READS | {"read versions", "read live credentials"},
    "write_config": READS | {"create", "update", "destroy versions"},
    "rotate": READS | LISTS | {"update", "read a static role", "rotate a static role"},
}


@dataclass(frozen=True)
class Mounts:
    mount: str
    root: hvac.Client

    @property
    def config(self) -> str:
        return f"{self.mount}-config"

    @property
    def database(self) -> str:
        return f"{self.mount}-database"

    def token(self, function: str) -> str:
        made = self.root.auth.token.create(policies=[f"{self.mount}-{function}"], no_default_policy=True, type="batch")
        return str(made["auth"]["client_token"])

    def status(self, token: str, method: str, path: str, body: Any) -> int:
        with requests.Session() as session:
            session.trust_env = False
            url, headers = f"{self.root.url}/v1/{path}", {"X-Vault-Token": token}
            answer = session.request(method, url, json=body, headers=headers, allow_redirects=False, timeout=10)
        return answer.status_code

    def cell(self, token: str, method: str, path: str, body: dict[str, Any] | None) -> int:
        filled = path.format(config=self.config, database=self.database, name=NAME, new=secrets.token_hex(4))
        if body and body.get("options") == {"cas": "{version}"}:
            version = self.root.read(f"{self.config}/data/{NAME}")["data"]["metadata"]["version"]
            body = {**body, "options": {"cas": version}}
        return self.status(token, method, filled, body)


@pytest.fixture(scope="module")
def mounts(openbao: OpenBao, root: hvac.Client) -> Iterator[Mounts]:
    made = Mounts(f"policies-{secrets.token_hex(4)}", root)
    admin = AdminVault(VaultConfig(address=openbao.address, token=openbao.root_token))
    plan = Plan(read_policies(FUNCTIONS), made.mount, config_mount=made.config, database_mount=made.database)
    assert list(set_up(admin, plan))
    root.sys.enable_secrets_engine("database", path=made.database)
    for version in range(3):
        assert admin.replace_document(made.config, NAME, {"value": "x"}, version)
    yield made
    for name in (made.mount, made.config, made.database):
        root.sys.disable_secrets_engine(name)


@pytest.mark.parametrize("function", ALLOWED)
def test_a_function_can_do_what_the_table_says_and_nothing_else(function: str, mounts: Mounts) -> None:
    token = mounts.token(function)
    answers = {cell: mounts.cell(token, *asked) for cell, asked in CELLS.items()}
    assert {cell for cell, status in answers.items() if status != 403} == ALLOWED[function]


def test_root_is_let_everywhere_so_a_403_is_the_policys(mounts: Mounts) -> None:
    token = str(mounts.root.token)
    harmless = {cell: asked for cell, asked in CELLS.items() if asked[0] in ("GET", "LIST")}
    assert 403 not in {mounts.cell(token, *asked) for asked in harmless.values()}


def test_the_config_mount_takes_no_write_without_a_version_and_keeps_twenty(mounts: Mounts) -> None:
    settings = mounts.root.read(f"{mounts.config}/config")["data"]
    assert (settings["cas_required"], settings["max_versions"]) == (True, 20)


def test_bootstrap_again_changes_nothing(mounts: Mounts, openbao: OpenBao) -> None:
    admin = AdminVault(VaultConfig(address=openbao.address, token=openbao.root_token))
    plan = Plan(read_policies(FUNCTIONS), mounts.mount, config_mount=mounts.config, database_mount=mounts.database)
    assert {step.outcome for step in set_up(admin, plan)} == {"kept"}
    mounts.root.secrets.kv.v2.configure(mount_point=mounts.config, cas_required=False, max_versions=5)
    mended = [step.what for step in set_up(admin, plan) if step.outcome == "mended"]
    assert mended == [f"settings of {mounts.config}/"]
