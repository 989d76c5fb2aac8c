"""What the administrator of Keyrail does: keys that are delivered to their services, configs, and rotations."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keyrail.bootstrap import build_services
from keyrail.ports import Services
from keyrail.rotation_ports import DueEntry
from keyrail.settings import Settings
from keyrail.triggers.cli_client import Api
from stage.places import DATABASE_CONFIG, DATABASE_ROLE, MODEL_CONFIG, TENANT

GRACE_SECONDS = 3  # in production hours: here the old key shall end while we look on
INTERVAL_SECONDS = 3600


@dataclass(frozen=True)
class Administrator:
    """By an admin key, and for the clock's part by Vault itself."""

    api: Api
    settings: Settings

    def delivered_key(self, name: str, *scopes: str) -> str:
        """The key id of a key whose sink is `vault:acme/<name>`, and holds it."""
        rotation = {"sink": f"vault:{TENANT}/{name}", "grace_seconds": GRACE_SECONDS}
        key_id = self.key(name, *scopes, rotation=rotation)["key_id"]
        self.rotate_key(key_id, grace_seconds=0)  # the first secret came to us, and nobody uses it
        return str(key_id)

    def key(self, name: str, *scopes: str, **fields: Any) -> dict[str, Any]:
        body = {"tenant": TENANT, "owner": f"svc-{name}", "name": name, "scopes": scopes, **fields}
        return self.api.call("POST", "/v1/keys", body=body)

    def rotate_key(self, key_id: str, **fields: Any) -> None:
        self.api.call("POST", f"/v1/keys/{key_id}/rotate", body=fields)

    def write_configs(self, database_port: int) -> None:
        where = {"host": "127.0.0.1", "port": database_port, "database": "postgres"}
        rotation = {"kind": "database", "interval_seconds": INTERVAL_SECONDS, "role": DATABASE_ROLE}
        self._write(DATABASE_CONFIG, value=where, rotation=rotation)
        self._write(MODEL_CONFIG, value={"rounds": 500, "rate": 0.5})

    def _write(self, name: str, **body: Any) -> None:
        self.api.call("PUT", f"/v1/config/{name}", body={"tenant": TENANT, **body})

    def database_login(self) -> tuple[str, str]:
        value = self.api.call("GET", f"/v1/config/{DATABASE_CONFIG}", query={"tenant": TENANT})["value"]
        return value["username"], value["password"]

    def rotate_database(self) -> None:
        """By a tick, as a scheduler sends it, after an interval of which nobody wants to wait for the end."""
        self._let_an_interval_pass()
        told = self.api.call("POST", "/v1/rotation/tick", body={})
        if told["rotated"] != 1:
            raise RuntimeError(f"the tick rotated {told['rotated']} configs")

    def _let_an_interval_pass(self) -> None:
        services: Services = build_services(self.settings)
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
        stored = services.configs.find(TENANT, DATABASE_CONFIG)
        if stored.document is None or stored.document.rotation is None:
            raise RuntimeError(f"{DATABASE_CONFIG} does not rotate")
        document = replace(stored.document, rotation=replace(stored.document.rotation, next_at=at))
        services.due.add(DueEntry.of(at, "config", f"{TENANT}/{DATABASE_CONFIG}"))
        services.configs.write(TENANT, DATABASE_CONFIG, document, stored.version)
