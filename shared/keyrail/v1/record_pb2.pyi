import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyRecord(_message.Message):
    __slots__ = ("key_id", "tenant", "owner", "name", "state", "state_reason", "state_at", "state_by", "created_at", "created_by", "not_before", "expires_at", "lifetime_seconds", "scopes", "roles", "labels", "metadata", "context", "rate", "quota", "rotation", "generations", "etag")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_REASON_FIELD_NUMBER: _ClassVar[int]
    STATE_AT_FIELD_NUMBER: _ClassVar[int]
    STATE_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    tenant: str
    owner: str
    name: str
    state: str
    state_reason: str
    state_at: _timestamp_pb2.Timestamp
    state_by: str
    created_at: _timestamp_pb2.Timestamp
    created_by: str
    not_before: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    lifetime_seconds: int
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    metadata: _struct_pb2.Struct
    context: KeyContext
    rate: KeyLimit
    quota: KeyLimit
    rotation: KeyRotation
    generations: _containers.RepeatedCompositeFieldContainer[KeyGeneration]
    etag: str
    def __init__(self, key_id: _Optional[str] = ..., tenant: _Optional[str] = ..., owner: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., state_reason: _Optional[str] = ..., state_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lifetime_seconds: _Optional[int] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., context: _Optional[_Union[KeyContext, _Mapping]] = ..., rate: _Optional[_Union[KeyLimit, _Mapping]] = ..., quota: _Optional[_Union[KeyLimit, _Mapping]] = ..., rotation: _Optional[_Union[KeyRotation, _Mapping]] = ..., generations: _Optional[_Iterable[_Union[KeyGeneration, _Mapping]]] = ..., etag: _Optional[str] = ...) -> None: ...

class KeyContext(_message.Message):
    __slots__ = ("cidrs", "audiences")
    CIDRS_FIELD_NUMBER: _ClassVar[int]
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    cidrs: _containers.RepeatedScalarFieldContainer[str]
    audiences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cidrs: _Optional[_Iterable[str]] = ..., audiences: _Optional[_Iterable[str]] = ...) -> None: ...

class KeyLimit(_message.Message):
    __slots__ = ("requests", "window_seconds")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    requests: int
    window_seconds: int
    def __init__(self, requests: _Optional[int] = ..., window_seconds: _Optional[int] = ...) -> None: ...

class KeyRotationSettings(_message.Message):
    __slots__ = ("grace_seconds", "max_grace_seconds", "interval_seconds", "sink", "silent_seconds")
    GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    SILENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    grace_seconds: int
    max_grace_seconds: int
    interval_seconds: int
    sink: str
    silent_seconds: int
    def __init__(self, grace_seconds: _Optional[int] = ..., max_grace_seconds: _Optional[int] = ..., interval_seconds: _Optional[int] = ..., sink: _Optional[str] = ..., silent_seconds: _Optional[int] = ...) -> None: ...

class KeyRotation(_message.Message):
    __slots__ = ("grace_seconds", "max_grace_seconds", "interval_seconds", "next_at", "sink", "silent_seconds", "step", "failures", "retry_at")
    GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    SILENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    RETRY_AT_FIELD_NUMBER: _ClassVar[int]
    grace_seconds: int
    max_grace_seconds: int
    interval_seconds: int
    next_at: _timestamp_pb2.Timestamp
    sink: str
    silent_seconds: int
    step: str
    failures: int
    retry_at: _timestamp_pb2.Timestamp
    def __init__(self, grace_seconds: _Optional[int] = ..., max_grace_seconds: _Optional[int] = ..., interval_seconds: _Optional[int] = ..., next_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sink: _Optional[str] = ..., silent_seconds: _Optional[int] = ..., step: _Optional[str] = ..., failures: _Optional[int] = ..., retry_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class KeyGeneration(_message.Message):
    __slots__ = ("n", "state", "activated_at", "retire_at", "last_used_at", "imported")
    N_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_AT_FIELD_NUMBER: _ClassVar[int]
    RETIRE_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_AT_FIELD_NUMBER: _ClassVar[int]
    IMPORTED_FIELD_NUMBER: _ClassVar[int]
    n: int
    state: str
    activated_at: _timestamp_pb2.Timestamp
    retire_at: _timestamp_pb2.Timestamp
    last_used_at: _timestamp_pb2.Timestamp
    imported: bool
    def __init__(self, n: _Optional[int] = ..., state: _Optional[str] = ..., activated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retire_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_used_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., imported: _Optional[bool] = ...) -> None: ...
