import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from keyrail.v1 import record_pb2 as _record_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IssueKeyRequest(_message.Message):
    __slots__ = ("owner", "name", "tenant", "scopes", "roles", "not_before", "expires_at", "lifetime_seconds", "labels", "metadata", "context", "rate", "quota", "rotation", "idempotency_key")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    owner: str
    name: str
    tenant: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    not_before: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    lifetime_seconds: int
    labels: _containers.ScalarMap[str, str]
    metadata: _struct_pb2.Struct
    context: _record_pb2.KeyContext
    rate: _record_pb2.KeyLimit
    quota: _record_pb2.KeyLimit
    rotation: _record_pb2.KeyRotationSettings
    idempotency_key: str
    def __init__(self, owner: _Optional[str] = ..., name: _Optional[str] = ..., tenant: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lifetime_seconds: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., context: _Optional[_Union[_record_pb2.KeyContext, _Mapping]] = ..., rate: _Optional[_Union[_record_pb2.KeyLimit, _Mapping]] = ..., quota: _Optional[_Union[_record_pb2.KeyLimit, _Mapping]] = ..., rotation: _Optional[_Union[_record_pb2.KeyRotationSettings, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class IssueKeyResponse(_message.Message):
    __slots__ = ("record", "key", "replayed")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    record: _record_pb2.KeyRecord
    key: str
    replayed: bool
    def __init__(self, record: _Optional[_Union[_record_pb2.KeyRecord, _Mapping]] = ..., key: _Optional[str] = ..., replayed: _Optional[bool] = ...) -> None: ...

class ImportKeyRequest(_message.Message):
    __slots__ = ("owner", "name", "tenant", "scopes", "roles", "not_before", "expires_at", "lifetime_seconds", "labels", "metadata", "context", "rate", "quota", "rotation", "key", "sha256")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    owner: str
    name: str
    tenant: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    not_before: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    lifetime_seconds: int
    labels: _containers.ScalarMap[str, str]
    metadata: _struct_pb2.Struct
    context: _record_pb2.KeyContext
    rate: _record_pb2.KeyLimit
    quota: _record_pb2.KeyLimit
    rotation: _record_pb2.KeyRotationSettings
    key: str
    sha256: str
    def __init__(self, owner: _Optional[str] = ..., name: _Optional[str] = ..., tenant: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lifetime_seconds: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., context: _Optional[_Union[_record_pb2.KeyContext, _Mapping]] = ..., rate: _Optional[_Union[_record_pb2.KeyLimit, _Mapping]] = ..., quota: _Optional[_Union[_record_pb2.KeyLimit, _Mapping]] = ..., rotation: _Optional[_Union[_record_pb2.KeyRotationSettings, _Mapping]] = ..., key: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class ImportKeyResponse(_message.Message):
    __slots__ = ("record", "replayed")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    record: _record_pb2.KeyRecord
    replayed: bool
    def __init__(self, record: _Optional[_Union[_record_pb2.KeyRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class ValidateKeyRequest(_message.Message):
    __slots__ = ("key", "required_scopes", "ip", "audience", "tenant")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_SCOPES_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    key: str
    required_scopes: str
    ip: str
    audience: str
    tenant: str
    def __init__(self, key: _Optional[str] = ..., required_scopes: _Optional[str] = ..., ip: _Optional[str] = ..., audience: _Optional[str] = ..., tenant: _Optional[str] = ...) -> None: ...

class ValidateKeyResponse(_message.Message):
    __slots__ = ("valid", "code", "key_id", "generation", "tenant", "principal", "name", "scopes", "labels", "metadata", "expires_at", "sunset_at", "deprecated_at", "retry_after_seconds")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VALID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    SUNSET_AT_FIELD_NUMBER: _ClassVar[int]
    DEPRECATED_AT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    code: str
    key_id: str
    generation: int
    tenant: str
    principal: str
    name: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    metadata: _struct_pb2.Struct
    expires_at: _timestamp_pb2.Timestamp
    sunset_at: _timestamp_pb2.Timestamp
    deprecated_at: _timestamp_pb2.Timestamp
    retry_after_seconds: int
    def __init__(self, valid: _Optional[bool] = ..., code: _Optional[str] = ..., key_id: _Optional[str] = ..., generation: _Optional[int] = ..., tenant: _Optional[str] = ..., principal: _Optional[str] = ..., name: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sunset_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deprecated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retry_after_seconds: _Optional[int] = ...) -> None: ...

class BatchValidateRequest(_message.Message):
    __slots__ = ("batch", "tenant")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    batch: _containers.RepeatedCompositeFieldContainer[PresentedKey]
    tenant: str
    def __init__(self, batch: _Optional[_Iterable[_Union[PresentedKey, _Mapping]]] = ..., tenant: _Optional[str] = ...) -> None: ...

class PresentedKey(_message.Message):
    __slots__ = ("key", "required_scopes", "ip", "audience")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_SCOPES_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    key: str
    required_scopes: str
    ip: str
    audience: str
    def __init__(self, key: _Optional[str] = ..., required_scopes: _Optional[str] = ..., ip: _Optional[str] = ..., audience: _Optional[str] = ...) -> None: ...

class BatchValidateResponse(_message.Message):
    __slots__ = ("valid", "code", "results")
    VALID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    code: str
    results: _containers.RepeatedCompositeFieldContainer[ValidateKeyResponse]
    def __init__(self, valid: _Optional[bool] = ..., code: _Optional[str] = ..., results: _Optional[_Iterable[_Union[ValidateKeyResponse, _Mapping]]] = ...) -> None: ...

class ValidateStreamRequest(_message.Message):
    __slots__ = ("id", "presented", "tenant")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRESENTED_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    id: str
    presented: PresentedKey
    tenant: str
    def __init__(self, id: _Optional[str] = ..., presented: _Optional[_Union[PresentedKey, _Mapping]] = ..., tenant: _Optional[str] = ...) -> None: ...

class ValidateStreamResponse(_message.Message):
    __slots__ = ("id", "verdict", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    verdict: ValidateKeyResponse
    error: StreamError
    def __init__(self, id: _Optional[str] = ..., verdict: _Optional[_Union[ValidateKeyResponse, _Mapping]] = ..., error: _Optional[_Union[StreamError, _Mapping]] = ...) -> None: ...

class StreamError(_message.Message):
    __slots__ = ("code", "message", "retry_after_seconds")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retry_after_seconds: int
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_seconds: _Optional[int] = ...) -> None: ...

class RotateRequest(_message.Message):
    __slots__ = ("key_id", "grace_seconds", "idempotency_key")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    grace_seconds: int
    idempotency_key: str
    def __init__(self, key_id: _Optional[str] = ..., grace_seconds: _Optional[int] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class RotateResponse(_message.Message):
    __slots__ = ("record", "key", "delivered_to", "step")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_TO_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    record: _record_pb2.KeyRecord
    key: str
    delivered_to: str
    step: str
    def __init__(self, record: _Optional[_Union[_record_pb2.KeyRecord, _Mapping]] = ..., key: _Optional[str] = ..., delivered_to: _Optional[str] = ..., step: _Optional[str] = ...) -> None: ...

class RevokeKeyRequest(_message.Message):
    __slots__ = ("key_id", "reason")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    reason: str
    def __init__(self, key_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeKeyResponse(_message.Message):
    __slots__ = ("key_id", "state", "revoked_at", "revoked_by", "reason")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    state: str
    revoked_at: _timestamp_pb2.Timestamp
    revoked_by: str
    reason: str
    def __init__(self, key_id: _Optional[str] = ..., state: _Optional[str] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoked_by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class UpdateKeyRequest(_message.Message):
    __slots__ = ("key_id", "state", "state_reason", "name", "owner", "scopes", "roles", "not_before", "expires_at", "labels", "metadata", "context", "rate", "quota", "rotation", "if_match", "update_mask")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_REASON_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    IF_MATCH_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    state: str
    state_reason: str
    name: str
    owner: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    not_before: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    metadata: _struct_pb2.Struct
    context: _record_pb2.KeyContext
    rate: _record_pb2.KeyLimit
    quota: _record_pb2.KeyLimit
    rotation: _record_pb2.KeyRotationSettings
    if_match: str
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, key_id: _Optional[str] = ..., state: _Optional[str] = ..., state_reason: _Optional[str] = ..., name: _Optional[str] = ..., owner: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., context: _Optional[_Union[_record_pb2.KeyContext, _Mapping]] = ..., rate: _Optional[_Union[_record_pb2.KeyLimit, _Mapping]] = ..., quota: _Optional[_Union[_record_pb2.KeyLimit, _Mapping]] = ..., rotation: _Optional[_Union[_record_pb2.KeyRotationSettings, _Mapping]] = ..., if_match: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateKeyResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: _record_pb2.KeyRecord
    def __init__(self, record: _Optional[_Union[_record_pb2.KeyRecord, _Mapping]] = ...) -> None: ...

class GetKeyRequest(_message.Message):
    __slots__ = ("key_id",)
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    def __init__(self, key_id: _Optional[str] = ...) -> None: ...

class GetKeyResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: _record_pb2.KeyRecord
    def __init__(self, record: _Optional[_Union[_record_pb2.KeyRecord, _Mapping]] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("tenant", "owner", "state", "limit", "cursor", "due_before")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    DUE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    owner: str
    state: str
    limit: int
    cursor: str
    due_before: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., owner: _Optional[str] = ..., state: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ..., due_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys", "next_cursor")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[_record_pb2.KeyRecord]
    next_cursor: str
    def __init__(self, keys: _Optional[_Iterable[_Union[_record_pb2.KeyRecord, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...
