"""What an administrator of Vault sets up once: a CA for the services, the database engine, an identity for each."""

from pathlib import Path

from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_identities import read_identity
from keyrail.bootstrap import vault_config
from keyrail.dev.postgres import ADMIN, PostgreSQL
from keyrail.settings import Settings
from keyrail.triggers.cli_bootstrap import Bootstrap
from stage.places import CONTAINERS, DATABASE_ROLE, FUNCTIONS, PIPELINE

LONG = "8760h"
CERTIFICATES = {  # the role, and the one name that it gives certificates for
    "keyrail-grpc": "keyrail.svc",
    "gateway": "gateway.acme.svc",
    "inference": "inference.acme.svc",
    "data": "data.acme.svc",
}


def set_up(settings: Settings, postgres: PostgreSQL, identities: Path) -> str:
    """The CA's certificate, in PEM. `settings` have a token that may do anything."""
    vault = AdminVault(vault_config(settings))
    for folder in (CONTAINERS, PIPELINE):  # as `keyrail bootstrap --containers ... --identities ...` does
        list(Bootstrap(settings, FUNCTIONS, _no_new_admin, identities=identities, containers=folder).steps())
    _database(vault, postgres)
    return _ca(vault)


def _no_new_admin(_key_id: str, _key: str) -> None:
    raise RuntimeError("there is an admin key already")


def _ca(vault: AdminVault) -> str:
    vault.put("sys/mounts/pki", type="pki", config={"max_lease_ttl": LONG})
    made = vault.put("pki/root/generate/internal", common_name="acme services", ttl=LONG, key_type="ec")
    for role, name in CERTIFICATES.items():
        rules = {"allowed_domains": name, "allow_bare_domains": True, "allow_ip_sans": False}
        vault.put(f"pki/roles/{role}", key_type="ec", max_ttl="24h", not_before_duration="30s", **rules)
    return str(made["certificate"])


def _database(vault: AdminVault, postgres: PostgreSQL) -> None:
    """A static role: one user of PostgreSQL, whose password Vault sets."""
    vault.put("sys/mounts/database", type="database")
    vault.put(
        "database/config/flowers",
        plugin_name="postgresql-database-plugin",
        allowed_roles=DATABASE_ROLE,
        connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{postgres.port}/postgres?sslmode=disable",
        username=ADMIN,
        password=postgres.admin_password,
    )
    vault.put(f"database/static-roles/{DATABASE_ROLE}", db_name="flowers", username=DATABASE_ROLE, rotation_period=LONG)


def role_id(identities: Path, name: str) -> str:
    return read_identity(identities, name)["KEYRAIL_VAULT_ROLE_ID"]
