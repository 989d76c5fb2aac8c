"""Writes a config, brings an old version back, or destroys versions. docs/operations/write_config.md"""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from keyrail.announce import announce_as
from keyrail.credential_rotation import require_rotatable, rotation_asked, schedule
from keyrail.domain import config_fields, fields
from keyrail.domain.access import Caller
from keyrail.domain.config import (
    KEPT_VERSIONS,
    ConfigDocument,
    ConfigRotation,
    ConfigWrite,
    StoredConfig,
    is_same_json,
    require_value_fits,
)
from keyrail.domain.config_fields import ConfigRotationField, ConfigRotationView, WithSchema
from keyrail.domain.errors import Conflict, EtagMismatch, InvalidArgument, NotFound
from keyrail.domain.fields import Reply
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.domain.value_schema import require_schema, require_valid
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.telemetry import note

SCOPE = "config:write"
DESTROY_SCOPE = "config:destroy"
MAX_TRIES = 5  # to empty a name that is to be destroyed as a whole, against others writing it
_KINDS = ("value", "restore_version", "destroy_versions")
Versions = Annotated[list[config_fields.Version], Field(min_length=1, max_length=KEPT_VERSIONS)]


class WriteConfigRequest(WithSchema):
    """Exactly one of `value`, `restore_version` and `destroy_versions`. `schema` and `rotation` go with `value`: left
    out they stay as they are, null takes them away. To overwrite or restore, send If-Match."""

    name: config_fields.ConfigName
    tenant: fields.Tenant | None = None
    value: Any = Field(default=None, repr=False)
    rotation: ConfigRotationField | None = None
    restore_version: config_fields.Version | None = None
    destroy_versions: Versions | Literal["all"] | None = None
    if_match: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in _KINDS if name in self.model_fields_set]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_KINDS)}")
        if given[0] != "value" and getattr(self, given[0]) is None:
            raise ValueError(f"{given[0]} can't be null")
        if given[0] != "value" and self.model_fields_set & {"schema", "rotation"}:
            raise ValueError("schema and rotation go with value")
        return self


class WriteConfigReply(Reply):
    """The newest version; without `version` there is none any more."""

    tenant: str
    name: str
    version: int | None = None
    etag: str | None = None
    written_at: datetime | None = None
    written_by: str | None = None
    rotation: ConfigRotationView | None = None
    destroyed_versions: list[int] | None = None


class _Change:
    """One request in its tenant."""

    def __init__(self, request: WriteConfigRequest, caller: Caller, services: Services) -> None:
        self.request, self.caller, self.services = request, caller, services
        self.tenant, self.name = request.tenant or caller.tenant, request.name
        self.subject = f"{self.tenant}/{self.name}"
        self.now = services.clock.now()

    def find(self) -> StoredConfig:
        return self.services.configs.find(self.tenant, self.name)

    def require_match(self, stored: StoredConfig) -> None:
        """Raises: EtagMismatch where If-Match names another version."""
        given = self.request.if_match
        if given is not None and (stored.document is None or given not in ("*", f'"{stored.version}"')):
            raise EtagMismatch("The config was changed since you read it. Read it again and repeat what still holds.")

    def made(self, stored: StoredConfig) -> bool:
        """True where `stored` is what this very request makes of what it names: its call was cut off."""
        return self.request.if_match == (f'"{stored.version - 1}"' if stored.version > 1 else None)

    def not_found(self, what: str) -> NotFound:
        return NotFound(f"There is no {what} here.", code="CONFIG_NOT_FOUND")

    def announce(self, event: str, change: str, at: datetime | None = None, **facts: Any) -> None:
        change, actor = f"{self.tenant}:{change}", self.caller.key_id
        announce_as(self.services, event, self.tenant, self.name, actor=actor, change=change, at=at, **facts)


def run(request: WriteConfigRequest, caller: Caller, services: Services) -> WriteConfigReply:
    change = _Change(request, caller, services)
    note(tenant=change.tenant, config=request.name)
    caller.require_scope(f"{SCOPE}:{request.name}")
    if request.destroy_versions is not None:
        caller.require_scope(f"{DESTROY_SCOPE}:{request.name}")
    caller.require_tenant(change.tenant)
    if request.destroy_versions is not None:
        return _destroy_all(change) if request.destroy_versions == "all" else _destroy(change, request.destroy_versions)
    stored = change.find()
    if stored.document is not None and _is_made(stored, stored.document, change):
        return _told(stored.document, stored.version, change)
    change.require_match(stored)
    _require_free(stored, change)
    if request.restore_version is not None:
        return _restore(stored, request.restore_version, change)
    return _put(stored, change)


def _require_free(stored: StoredConfig, change: _Change) -> None:
    """No update is lost: who overwrites says what was read. Raises: Conflict CONFIG_EXISTS, ROTATION_IN_PROGRESS."""
    if stored.document is None:
        return
    if change.request.if_match is None:
        text = "There is a config of this name. To overwrite it, send the ETag that you read as If-Match."
        raise Conflict(text, code="CONFIG_EXISTS")
    if stored.document.rotation is not None and stored.document.rotation.is_under_way(change.now):
        raise Conflict("The config is being rotated at this moment. Try again shortly.", code="ROTATION_IN_PROGRESS")


# -- write and restore ----------------------------------------------------------------------------------------------


def _is_made(stored: StoredConfig, document: ConfigDocument, change: _Change) -> bool:
    """By an earlier try of this request, whose caller was not told. Whoever else wrote the same is somebody else."""
    request, last = change.request, document.last_write
    if not change.made(stored) or (last.version, last.by) != (stored.version, change.caller.key_id):
        return False
    if request.restore_version is not None:
        then = change.services.configs.find_version(change.tenant, change.name, request.restore_version)
        return last.how == "restored" and then is not None and is_same_json(then.value, document.value)
    if last.how != "written" or not is_same_json(request.value, document.value):
        return False
    if "schema" in request.model_fields_set and not is_same_json(request.schema, document.schema):
        return False
    return "rotation" not in request.model_fields_set or _rotation(document, change) is document.rotation


def _put(stored: StoredConfig, change: _Change) -> WriteConfigReply:
    request, before = change.request, stored.document
    require_value_fits(request.value)
    write = _write(stored, "written", change)
    new = ConfigDocument(value=request.value, writes=(write,))
    document = new if before is None else before.with_value(request.value, write)
    if "schema" in request.model_fields_set:
        document = replace(document, schema=request.schema)
        if document.schema is not None:
            require_schema(document.schema)
    if "rotation" in request.model_fields_set:
        document = replace(document, rotation=_rotation(before, change))
    return _written(stored, document, change)


def _restore(stored: StoredConfig, version: int, change: _Change) -> WriteConfigReply:
    """The value of then under the schema and the rotation of now."""
    if stored.document is None:
        raise change.not_found(f"config {change.name}")
    then = change.services.configs.find_version(change.tenant, change.name, version)
    if then is None:
        raise change.not_found(f"version {version}")
    document = stored.document.with_value(then.value, _write(stored, "restored", change))
    return _written(stored, document, change)


def _write(stored: StoredConfig, how: Literal["written", "restored"], change: _Change) -> ConfigWrite:
    return ConfigWrite(version=stored.version + 1, at=change.now, by=change.caller.key_id, how=how)


def _written(stored: StoredConfig, document: ConfigDocument, change: _Change) -> WriteConfigReply:
    services, rotation = change.services, document.rotation
    if document.schema is not None:
        require_valid(document.value, document.schema)
    if rotation is not None:
        require_rotatable(document, rotation, change.tenant, change.name, services)
        schedule(change.tenant, change.name, rotation, services)  # first: a hint too many does no harm
    version = services.configs.write(change.tenant, change.name, document, stored.version)
    if version is None:
        raise _overtaken(stored)
    return _told(document, version, change)


def _told(document: ConfigDocument, version: int, change: _Change) -> WriteConfigReply:
    """The same event for the same write, however often it is told."""
    at, restored = document.last_write.at, change.request.restore_version
    told_as = f"{version}:{at.isoformat()}"
    if restored is None:
        change.announce("config.written", told_as, at=at, version=version)
    else:
        change.announce("config.restored", told_as, at=at, version=version, restored_version=restored)
    return _reply(document, version, change)


def _rotation(before: ConfigDocument | None, change: _Change) -> ConfigRotation | None:
    asked, standing = change.request.rotation, before.rotation if before is not None else None
    if asked is None:
        return None
    is_system = change.caller.tenant == SYSTEM_TENANT
    return rotation_asked(asked, standing, change.subject, change.now, change.services, is_system=is_system)


def _reply(document: ConfigDocument, version: int, change: _Change, **more: Any) -> WriteConfigReply:
    return WriteConfigReply(
        tenant=change.tenant,
        name=change.name,
        version=version,
        etag=f'"{version}"',
        written_at=document.last_write.at,
        written_by=document.last_write.by,
        rotation=ConfigRotationView.of(document.rotation),
        **more,
    )


def _overtaken(stored: StoredConfig) -> Conflict | EtagMismatch:
    if stored.document is None:
        return Conflict("Somebody else wrote this config at the same moment. Read it.", code="CONFIG_EXISTS")
    return EtagMismatch("The config was changed at the same moment. Read it again and repeat what still holds.")


# -- destroy --------------------------------------------------------------------------------------------------------


def _destroy(change: _Change, versions: list[int]) -> WriteConfigReply:
    stored = change.find()
    change.require_match(stored)
    if stored.document is None:
        raise change.not_found(f"config {change.name}")
    if stored.version in versions:
        text = 'The newest version is in use: write or restore another one first, or destroy_versions "all".'
        raise InvalidArgument(text, code="NEWEST_VERSION")
    asked = sorted(set(versions))
    change.services.configs.destroy(change.tenant, change.name, asked)
    change.announce("config.destroyed", f"{stored.version}:{asked}", versions=asked)
    return _reply(stored.document, stored.version, change, destroyed_versions=asked)


def _destroy_all(change: _Change) -> WriteConfigReply:
    """The name is emptied first, by check-and-set: so no write that is on its way brings any of it back. Repeated
    after it was cut off, it goes on."""
    for _ in range(MAX_TRIES):
        stored = change.find()
        if stored.document is not None or not change.made(stored):
            change.require_match(stored)
        if stored.version == 0:
            raise change.not_found(f"config {change.name}")
        emptied = stored.version
        if stored.document is not None:
            version = change.services.configs.write(change.tenant, change.name, None, stored.version)
            if version is None:
                continue
            emptied = version
        versions = list(range(max(1, emptied - KEPT_VERSIONS), emptied))
        change.services.configs.destroy(change.tenant, change.name, versions)
        change.announce("config.destroyed", f"{emptied}:all", versions=versions)
        return WriteConfigReply(tenant=change.tenant, name=change.name, destroyed_versions=versions)
    raise Conflict("Others keep writing this config. Try again.", code="CONCURRENT_CHANGE")


OPERATION = Operation(
    name="write_config",
    summary="Write, restore or destroy a config",
    method="PUT",
    path="/v1/config/{name}",
    scope=SCOPE,
    request=WriteConfigRequest,
    reply=WriteConfigReply,
    run=run,
    codes=(
        "CONFIG_NOT_FOUND",
        "OTHER_TENANT",
        "CONFIG_EXISTS",
        "ROTATION_IN_PROGRESS",
        "CONCURRENT_CHANGE",
        "ETAG_MISMATCH",
        "VALUE_TOO_LARGE",
        "INVALID_VALUE",
        "BAD_SCHEMA",
        "SCHEMA_UNSUPPORTED",
        "BAD_ROTATION",
        "NEWEST_VERSION",
        "CONFIGS_NEED_VAULT",
        "ROTATOR_FAILED",
    ),
    long_field="name",
)
