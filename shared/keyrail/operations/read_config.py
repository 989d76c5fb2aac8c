"""Gives a config's value, or says who changed it when. docs/operations/read_config.md"""

from datetime import datetime
from typing import Any, Self

from pydantic import model_validator

from keyrail.credential_rotation import find_rotator
from keyrail.domain import config_fields, fields
from keyrail.domain.access import FOREIGN, Caller
from keyrail.domain.config import ConfigDocument, StoredConfig
from keyrail.domain.config_fields import ConfigRotationView, ConfigVersionView, JsonValue, WithSchemaShown
from keyrail.domain.errors import NotFound
from keyrail.domain.fields import Request
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.telemetry import note

SCOPE = "config:read"


class ReadConfigRequest(Request):
    """The newest value, or that of a `version` that is still kept. With `history` no value at all, but who made each
    version, and when."""

    name: config_fields.ConfigName
    tenant: fields.Tenant | None = None
    version: config_fields.Version | None = None
    history: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.history and self.version is not None:
            raise ValueError("history is of all versions: leave version out")
        return self


class ReadConfigReply(WithSchemaShown):
    """`etag` names the version that was read; send it as If-Match to change just this one. `versions` stands in place
    of `value` where the history was asked for."""

    tenant: str
    name: str
    value: JsonValue | None = None
    version: int
    etag: str
    written_at: datetime
    written_by: str
    rotation: ConfigRotationView | None = None
    versions: list[ConfigVersionView] | None = None


def run(request: ReadConfigRequest, caller: Caller, services: Services) -> ReadConfigReply:
    tenant = request.tenant or caller.tenant
    note(tenant=tenant, config=request.name)
    caller.require_scope(f"{SCOPE}:{request.name}")
    if not caller.acts_in(tenant):
        raise _not_found(request, FOREIGN)  # whether it is there or not: nobody looks
    newest = services.configs.find(tenant, request.name)
    if newest.document is None:
        raise _not_found(request)
    if request.history:
        return _reply(request, tenant, newest, newest.document, versions=_history(tenant, newest, request, services))
    if request.version is not None:
        return _old(request, tenant, request.version, services)
    value = newest.document.value
    rotation = newest.document.rotation
    if rotation is not None:
        value = find_rotator(rotation.kind, services.rotators).live(value, rotation.settings)
    return _reply(request, tenant, newest, newest.document, value=JsonValue(value))


def _old(request: ReadConfigRequest, tenant: str, version: int, services: Services) -> ReadConfigReply:
    """As it was written: what a rotator adds for readers is only there for the newest."""
    document = services.configs.find_version(tenant, request.name, version)
    if document is None:
        raise _not_found(request)
    then = StoredConfig(document, version)
    return _reply(request, tenant, then, document, value=JsonValue(document.value))


def _history(
    tenant: str, newest: StoredConfig, request: ReadConfigRequest, services: Services
) -> list[ConfigVersionView]:
    readable = services.configs.readable_versions(tenant, request.name)
    writes = newest.document.writes if newest.document is not None else ()
    return [
        ConfigVersionView(
            version=write.version,
            written_at=write.at,
            written_by=write.by,
            how=write.how,
            state="live" if write.version in readable else "destroyed",
        )
        for write in reversed(writes)
    ]


def _reply(
    request: ReadConfigRequest, tenant: str, stored: StoredConfig, document: ConfigDocument, **more: Any
) -> ReadConfigReply:
    return ReadConfigReply(
        tenant=tenant,
        name=request.name,
        version=stored.version,
        etag=f'"{stored.version}"',
        written_at=document.last_write.at,
        written_by=document.last_write.by,
        schema=document.schema,
        rotation=ConfigRotationView.of(document.rotation),
        **more,
    )


def _not_found(request: ReadConfigRequest, detail: str = "") -> NotFound:
    version = "" if request.version is None else f", or its version {request.version} is kept no more"
    return NotFound(
        f"There is no config {request.name} in a tenant of yours{version}.", code="CONFIG_NOT_FOUND", detail=detail
    )


OPERATION = Operation(
    name="read_config",
    summary="Read a config",
    method="GET",
    path="/v1/config/{name}",
    scope=SCOPE,
    request=ReadConfigRequest,
    reply=ReadConfigReply,
    run=run,
    codes=("CONFIG_NOT_FOUND", "CONFIGS_NEED_VAULT", "ROTATOR_FAILED"),
    long_field="name",
)
