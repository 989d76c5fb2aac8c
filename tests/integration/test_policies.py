"""What each function may do in Vault, cell by cell, by the answers of a real server to its own login.

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
KEY_ID = "abcdefghijklmnop"

# thing: a document that is there, and one like it that is not
DOCUMENTS = {
    "record": (f"keys/ab/{KEY_ID}", "keys/ab/{new}"),
    "tombstone": (f"revoked/ab/{KEY_ID}", "revoked/ab/{new}"),
    "index entry": (f"tenants/acme/a/{KEY_ID}", "tenants/acme/a/{new}"),
    "pepper": ("pepper", "pepper-{new}"),
    "roles": ("rbac/roles", "rbac/{new}"),
    "feed head": ("feed/head", "feed/{new}"),
    "due hint": (f"due/2030010203/0405-k-{KEY_ID}", "due/2030010203/{new}"),
    "event": ("outbox/2030010203/0405000000-" + "0" * 32, "outbox/2030010203/{new}"),
    "use of a key": (f"usage/ab/{KEY_ID}", "usage/ab/{new}"),
    "admin marker": ("bootstrap/admin", "bootstrap/{new}"),
    "stranger": ("config/acme/database", "config/acme/{new}"),
    "above a record": ("keys/ab", "keys/{new}"),
    "below a record": (f"keys/ab/{KEY_ID}/more", "keys/ab/{new}/more"),
}
FOLDERS = {
    "the mount": "",
    "records": "keys",
    "shard of records": "keys/ab",
    "tombstones": "revoked",
    "shard of tombstones": "revoked/ab",
    "tenants": "tenants",
    "a tenant": "tenants/acme",
    "shard of a tenant": "tenants/acme/a",
    "hours of hints": "due",
    "an hour of hints": "due/2030010203",
    "hours of events": "outbox",
    "an hour of events": "outbox/2030010203",
    "uses": "usage",
    "shard of uses": "usage/ab",
    "strangers": "config/acme",
}
OF_DOCUMENTS = (
    "read",
    "create",
    "update",
    "patch",
    "delete",
    "delete versions",
    "undelete",
    "destroy",
    "read subkeys",
    "read metadata",
    "write metadata",
    "delete metadata",
)
OF_FOLDERS = ("list", "list by query", "scan")

USES = {"create use of a key", "read use of a key", "update use of a key"}
EVERY_FUNCTION = {"read record", "read tombstone", "read pepper", "read roles", "read feed head"} | USES
LISTS = {f"{verb} {folder}" for verb in ("list", "list by query") for folder in ("a tenant", "shard of a tenant")}
LISTS_FOR_TICKS = {
    f"{verb} {folder}"
    for verb in ("list", "list by query")
    for folder in ("hours of hints", "an hour of hints", "hours of events", "an hour of events")
}
LISTS_FOR_SWEEPS = {
    f"{verb} {folder}"
    for verb in ("list", "list by query")
    for folder in ("records", "shard of records", "tenants", "a tenant", "shard of a tenant")
}
HINTS = {"create due hint", "read due hint"}
EVENTS = {"create event", "read event"}
TICKS = HINTS | EVENTS | {"delete metadata due hint", "delete metadata event"} | LISTS_FOR_TICKS
SWEEPS = LISTS_FOR_SWEEPS | {"read index entry", "delete metadata index entry"}
ALLOWED = {
    "validate_key": EVERY_FUNCTION,
    "get_key": EVERY_FUNCTION,
    "issue_key": EVERY_FUNCTION | {"create record", "create index entry", "read index entry"} | HINTS | EVENTS,
    "rotate": EVERY_FUNCTION | {"update record", "update feed head"} | TICKS | SWEEPS,
    "update_key": EVERY_FUNCTION | {"update record", "update feed head"} | HINTS | EVENTS,
    "revoke_key": EVERY_FUNCTION | {"create tombstone", "update feed head"} | EVENTS,
    "read_config": EVERY_FUNCTION,
    "write_config": EVERY_FUNCTION | HINTS | EVENTS,
    "list_keys": EVERY_FUNCTION | LISTS,
}
SYSTEM: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "read own token": ("GET", "auth/token/lookup-self", None),
    "renew own token": ("POST", "auth/token/renew-self", {}),
    "make a token": ("POST", "auth/token/create", {}),
    "ask for capabilities": ("POST", "sys/capabilities-self", {"paths": ["{mount}/data/pepper"]}),
    "read a policy": ("GET", "sys/policies/acl/{mount}-issue_key", None),
    "write a policy": ("POST", "sys/policies/acl/{mount}-issue_key", {"policy": 'path "*" {capabilities=["sudo"]}'}),
    "list policies": ("LIST", "sys/policies/acl", None),
    "read mounts": ("GET", "sys/mounts", None),
    "make a mount": ("POST", "sys/mounts/{new}", {"type": "kv"}),
    "remove the mount": ("DELETE", "sys/mounts/{mount}", None),
    "read the mount's settings": ("GET", "{mount}/config", None),
    "write the mount's settings": ("POST", "{mount}/config", {"cas_required": False}),
    "read auth methods": ("GET", "sys/auth", None),
    "make an auth method": ("POST", "sys/auth/{new}", {"type": "approle"}),
    "read audit devices": ("GET", "sys/audit", None),
    "read storage": ("GET", "sys/raw/core/mounts", None),
    "take a snapshot": ("GET", "sys/storage/raft/snapshot", None),
    "seal": ("POST", "sys/seal", {}),
    "step down": ("POST", "sys/step-down", {}),
    "read a role": ("GET", "auth/approle/role/{mount}-rotate", None),
    "read a role id": ("GET", "auth/approle/role/{mount}-rotate/role-id", None),
    "make a secret id": ("POST", "auth/approle/role/{mount}-rotate/secret-id", {}),
    "list roles": ("LIST", "auth/approle/role", None),
    "make an entity": ("POST", "identity/entity", {"name": "{new}"}),
    "revoke a lease": ("POST", "sys/leases/revoke", {"lease_id": "none"}),
}


@dataclass(frozen=True)
class Vault:
    """Requests as they are: redirects and the environment's proxies are left out."""

    address: str
    token: str

    def status(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> int:
        headers = {"X-Vault-Token": self.token, "Content-Type": content_type}
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.address}/v1/{path}"
            answer = session.request(method, url, json=body, headers=headers, allow_redirects=False, timeout=10)
        return answer.status_code


@dataclass(frozen=True)
class Mount:
    name: str
    root: hvac.Client

    @property
    def delivery_mount(self) -> str:
        return f"{self.name}-delivery"

    def version_of(self, path: str) -> int:
        found = self.root.read(f"{self.name}/data/{path}")
        return int(found["data"]["metadata"]["version"])

    def login(self, function: str) -> Vault:
        role = f"{self.name}-{function}"
        role_id = self.root.auth.approle.read_role_id(role)["data"]["role_id"]
        secret_id = self.root.auth.approle.generate_secret_id(role)["data"]["secret_id"]
        answer = hvac.Client(self.root.url).auth.approle.login(role_id, secret_id, use_token=False)
        return Vault(self.root.url, answer["auth"]["client_token"])


@pytest.fixture(scope="module")
def mount(openbao: OpenBao, root: hvac.Client) -> Iterator[Mount]:
    made = Mount(f"policies-{secrets.token_hex(4)}", root)
    admin = AdminVault(VaultConfig(address=openbao.address, token=openbao.root_token))
    plan = Plan(
        read_policies(FUNCTIONS), made.name, config_mount=f"{made.name}-config", delivery_mount=made.delivery_mount
    )
    assert list(set_up(admin, plan))
    yield made
    for name in (made.name, *plan.other_mounts()):
        root.sys.disable_secrets_engine(name)


@pytest.fixture(scope="module")
def elsewhere(root: hvac.Client) -> Iterator[str]:
    """Another KV v2 mount with documents at the very paths of ours."""
    name = f"elsewhere-{secrets.token_hex(4)}"
    root.sys.enable_secrets_engine("kv", path=name, options={"version": "2"})
    for path in ("pepper", f"keys/ab/{KEY_ID}"):
        root.secrets.kv.v2.create_or_update_secret(path, {"some": "thing"}, mount_point=name)
    yield name
    root.sys.disable_secrets_engine(name)


def of_document(verb: str, vault: Vault, mount: Mount, there: str, not_there: str) -> int:
    """The status of one cell; a write is a proper check-and-set, so nothing but the policy can refuse it."""
    name, new = mount.name, not_there.format(new=secrets.token_hex(8))
    versions = {"versions": [1]}
    match verb:
        case "read":
            return vault.status("GET", f"{name}/data/{there}")
        case "create":
            return vault.status("POST", f"{name}/data/{new}", {"data": {}, "options": {"cas": 0}})
        case "update":
            body = {"data": {"some": "thing"}, "options": {"cas": mount.version_of(there)}}
            return vault.status("POST", f"{name}/data/{there}", body)
        case "patch":
            body = {"data": {"some": "thing"}, "options": {"cas": mount.version_of(there)}}
            return vault.status("PATCH", f"{name}/data/{there}", body, "application/merge-patch+json")
        case "delete":
            return vault.status("DELETE", f"{name}/data/{there}")
        case "delete versions" | "undelete" | "destroy":
            return vault.status("POST", f"{name}/{verb.split()[0]}/{there}", versions)
        case "read subkeys":
            return vault.status("GET", f"{name}/subkeys/{there}")
        case "read metadata":
            return vault.status("GET", f"{name}/metadata/{there}")
        case "write metadata":
            return vault.status("POST", f"{name}/metadata/{there}", {"max_versions": 9})
        case _:
            return vault.status("DELETE", f"{name}/metadata/{there}")


def of_folder(verb: str, vault: Vault, name: str, folder: str) -> int:
    match verb:
        case "list":
            return vault.status("LIST", f"{name}/metadata/{folder}")
        case "list by query":
            return vault.status("GET", f"{name}/metadata/{folder}/?list=true".replace("//", "/"))
        case _:
            return vault.status("SCAN", f"{name}/metadata/{folder}")


def allowed_among(answers: dict[str, int]) -> set[str]:
    """Those with a 2xx; whatever is neither that nor a 403 would tell nothing about the policy."""
    unclear = {cell: status for cell, status in answers.items() if status != 403 and not 200 <= status < 300}
    assert not unclear
    return {cell for cell, status in answers.items() if status != 403}


def test_the_table_names_every_function() -> None:
    assert set(ALLOWED) == set(read_policies(FUNCTIONS))


@pytest.mark.parametrize("function", ALLOWED)
def test_a_function_can_do_what_the_table_says_and_nothing_else(function: str, mount: Mount, openbao: OpenBao) -> None:
    admin, vault = AdminVault(VaultConfig(address=openbao.address, token=openbao.root_token)), mount.login(function)
    for path, _ in DOCUMENTS.values():  # a function before may have removed what it may remove
        admin.create_document(mount.name, path, {"some": "thing"})
    answers = {
        f"{verb} {thing}": of_document(verb, vault, mount, *paths)
        for thing, paths in DOCUMENTS.items()
        for verb in OF_DOCUMENTS
    }
    answers |= {
        f"{verb} {thing}": of_folder(verb, vault, mount.name, folder)
        for thing, folder in FOLDERS.items()
        for verb in OF_FOLDERS
    }
    assert allowed_among(answers) == ALLOWED[function]


@pytest.mark.parametrize("function", ALLOWED)
def test_only_rotate_delivers_and_it_takes_nothing_back(function: str, mount: Mount) -> None:
    """Nobody lists whom keys are delivered to, and what a consumer reads can't be deleted under it."""
    vault, sinks = mount.login(function), Mount(mount.delivery_mount, mount.root)
    there, folder = f"acme/{secrets.token_hex(4)}/gateway", "acme"
    body = {"data": {"api_key": "a"}, "options": {"cas": 0}}
    mount.root.write_data(f"{sinks.name}/data/{there}", data=body)
    answers = {verb: of_document(verb, vault, sinks, there, "acme/{new}/gateway") for verb in OF_DOCUMENTS}
    answers |= {verb: of_folder(verb, vault, sinks.name, folder) for verb in OF_FOLDERS}
    assert allowed_among(answers) == ({"create", "read", "update"} if function == "rotate" else set())


@pytest.mark.parametrize("function", ALLOWED)
def test_a_function_can_do_nothing_with_the_server_itself(function: str, mount: Mount) -> None:
    vault = mount.login(function)
    answers = {}
    for cell, (method, path, body) in SYSTEM.items():
        filled = path.format(mount=mount.name, new=secrets.token_hex(4))
        answers[cell] = vault.status(method, filled, body)
    assert allowed_among(answers) == set()


@pytest.mark.parametrize("function", ALLOWED)
def test_a_function_can_do_nothing_in_another_mount(function: str, mount: Mount, elsewhere: str) -> None:
    vault = mount.login(function)
    answers = {
        "read": vault.status("GET", f"{elsewhere}/data/pepper"),
        "read record": vault.status("GET", f"{elsewhere}/data/keys/ab/{KEY_ID}"),
        "create": vault.status("POST", f"{elsewhere}/data/keys/ab/new", {"data": {}}),
        "update": vault.status("POST", f"{elsewhere}/data/pepper", {"data": {}}),
        "list": vault.status("LIST", f"{elsewhere}/metadata/tenants/acme"),
        "delete": vault.status("DELETE", f"{elsewhere}/data/pepper"),
    }
    assert allowed_among(answers) == set()


def test_a_tombstone_is_final_for_the_function_that_lays_it(mount: Mount, root: hvac.Client) -> None:
    """Even one that an administrator deleted can't be laid anew or changed by it."""
    vault, path = mount.login("revoke_key"), f"revoked/ab/{secrets.token_hex(8)}"
    write = {"data": {"reason": "leaked"}, "options": {"cas": 0}}
    assert vault.status("POST", f"{mount.name}/data/{path}", write) == 200
    assert vault.status("POST", f"{mount.name}/data/{path}", {"data": {}, "options": {"cas": 1}}) == 403
    root.secrets.kv.v2.delete_latest_version_of_secret(path, mount_point=mount.name)
    assert vault.status("POST", f"{mount.name}/data/{path}", write) == 403


def test_every_policy_says_why_first() -> None:
    for function, text in read_policies(FUNCTIONS).items():
        assert text.startswith(f"# {function} ")
