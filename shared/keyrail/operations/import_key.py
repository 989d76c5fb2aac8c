"""Takes over a key that was made elsewhere, by its hash or whole. docs/operations/import_key.md"""

import json
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from keyrail.announce import announce
from keyrail.domain.access import Caller
from keyrail.domain.digest import fingerprint
from keyrail.domain.errors import Conflict, Internal, InvalidArgument
from keyrail.domain.key_format import KeyFormat, hash_of_imported, imported_key_id
from keyrail.domain.new_keys import NewKeyRequest, first_record, life_of, require_grantable, tenant_for
from keyrail.domain.records import Generation, KeyRecord, StoredKey
from keyrail.domain.views import KeyView
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.rotation import schedule
from keyrail.telemetry import note

SCOPE = "keys:import"
KeyHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ImportRequest(NewKeyRequest):
    """Exactly one of `key` and `sha256`. The other fields are those of an issue: with neither `expires_at` nor
    `lifetime_seconds` the key lives from now as long as the deployment's default says."""

    key: SecretStr | None = Field(default=None, max_length=256)
    sha256: KeyHash | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.key is None) == (self.sha256 is None):
            raise ValueError("give key or sha256, one of the two")
        return self


class ImportReply(KeyView):
    """The record. `replayed`: it was imported before, with the same fields; then the status is 200."""

    replayed: bool = False

    @property
    def http_status(self) -> int:
        return 200 if self.replayed else 201


def run(request: ImportRequest, caller: Caller, services: Services) -> ImportReply:
    caller.require_scope(SCOPE)
    tenant = tenant_for(request, caller)
    require_grantable(request, caller, services.lookup.roles())
    key_hash = _hash(request, services.key_format)
    key_id, now, asked = imported_key_id(key_hash), services.clock.now(), _fingerprint(request, tenant)
    note(key_id=key_id)
    standing = services.keys.find(key_id)  # first: else its index entry would be made in a tenant that is not its own
    if standing is not None:
        return _replay(asked, standing, caller, services)
    record = first_record(
        request,
        key_id=key_id,
        tenant=tenant,
        generation=_generation(key_hash, now, services),
        life=life_of(request, services.life_policy, now),
        key_format=services.key_format,
        created_by=caller.key_id,
        fingerprint=asked,
        now=now,
    )
    schedule(record, services)  # before the record, as the index: a hint without a record does no harm
    if not services.keys.create(record):
        return _replay(asked, services.keys.find(key_id), caller, services)
    _announce(record, caller, services)
    return ImportReply(**KeyView.fields_of(StoredKey(record, version=1), now))


def _hash(request: ImportRequest, key_format: KeyFormat) -> str:
    """Raises: InvalidArgument NOT_IMPORTABLE where no validation would ever accept the key."""
    if not key_format.imported_prefixes:
        raise InvalidArgument("This deployment accepts no imported keys.", code="NOT_IMPORTABLE")
    if request.key is None:
        return request.sha256 or ""
    text = request.key.get_secret_value()
    if not key_format.is_imported(text):
        raise InvalidArgument("The key has none of the forms that this deployment accepts.", code="NOT_IMPORTABLE")
    return hash_of_imported(text)


def _generation(key_hash: str, now: datetime, services: Services) -> Generation:
    """The bare hash is kept nowhere: with the records alone nobody can tell whether a hash from elsewhere is here."""
    peppers = services.lookup.peppers()
    return Generation(
        n=1,
        digest=peppers.current_digest(key_hash.encode()),
        pepper_version=peppers.current,
        state="current",
        activated_at=now,
        digest_scheme="sha256",
    )


def _fingerprint(request: ImportRequest, tenant: str) -> str:
    asked = request.model_dump(mode="json", exclude={"key", "sha256", "tenant"})
    return fingerprint("import", tenant, json.dumps(asked, sort_keys=True))


def _announce(record: KeyRecord, caller: Caller, services: Services, **more: bool) -> None:
    facts: dict[str, Any] = {"owner": record.owner, **more}
    announce(services, "key.imported", record, actor=caller.key_id, change="1", **facts)


def _replay(asked: str, stored: StoredKey | None, caller: Caller, services: Services) -> ImportReply:
    """What was imported before, in whatever state it is by now; of another tenant's nothing is told."""
    if stored is None:
        raise Internal("an id is taken and can't be read")
    if stored.record.request_fingerprint != asked:
        raise Conflict("This key was imported before, with other fields.", code="ALREADY_IMPORTED")
    _announce(stored.record, caller, services, repeated=True)  # the first may have been cut off before its event
    return ImportReply(**KeyView.fields_of(stored, services.clock.now()), replayed=True)


OPERATION = Operation(
    name="import_key",
    summary="Import a key",
    method="POST",
    path="/v1/keys/import",
    scope=SCOPE,
    request=ImportRequest,
    reply=ImportReply,
    run=run,
    success_status=201,
    codes=(
        "ESCALATION",
        "OTHER_TENANT",
        "UNKNOWN_ROLE",
        "LIFETIME_TOO_LONG",
        "BAD_SINK",
        "NOT_IMPORTABLE",
        "ALREADY_IMPORTED",
    ),
)
