import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadConfigRequest(_message.Message):
    __slots__ = ("name", "tenant", "version", "history")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    version: int
    history: bool
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., version: _Optional[int] = ..., history: _Optional[bool] = ...) -> None: ...

class ReadConfigResponse(_message.Message):
    __slots__ = ("tenant", "name", "value", "version", "etag", "written_at", "written_by", "rotation", "versions", "schema")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_AT_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BY_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    value: _struct_pb2.Value
    version: int
    etag: str
    written_at: _timestamp_pb2.Timestamp
    written_by: str
    rotation: ConfigRotation
    versions: _containers.RepeatedCompositeFieldContainer[ConfigVersion]
    schema: _struct_pb2.Struct
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., version: _Optional[int] = ..., etag: _Optional[str] = ..., written_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., written_by: _Optional[str] = ..., rotation: _Optional[_Union[ConfigRotation, _Mapping]] = ..., versions: _Optional[_Iterable[_Union[ConfigVersion, _Mapping]]] = ..., schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ConfigRotation(_message.Message):
    __slots__ = ("kind", "interval_seconds", "settings", "next_at", "step", "rotated_at")
    KIND_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ROTATED_AT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    interval_seconds: int
    settings: _struct_pb2.Struct
    next_at: _timestamp_pb2.Timestamp
    step: str
    rotated_at: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[str] = ..., interval_seconds: _Optional[int] = ..., settings: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., next_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step: _Optional[str] = ..., rotated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ConfigVersion(_message.Message):
    __slots__ = ("version", "written_at", "written_by", "how", "state")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_AT_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BY_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    version: int
    written_at: _timestamp_pb2.Timestamp
    written_by: str
    how: str
    state: str
    def __init__(self, version: _Optional[int] = ..., written_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., written_by: _Optional[str] = ..., how: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class WriteConfigRequest(_message.Message):
    __slots__ = ("name", "tenant", "value", "rotation", "restore_version", "destroy_versions", "if_match", "schema", "update_mask")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    RESTORE_VERSION_FIELD_NUMBER: _ClassVar[int]
    DESTROY_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    IF_MATCH_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    value: _struct_pb2.Value
    rotation: ConfigRotation
    restore_version: int
    destroy_versions: ConfigVersions
    if_match: str
    schema: _struct_pb2.Struct
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., rotation: _Optional[_Union[ConfigRotation, _Mapping]] = ..., restore_version: _Optional[int] = ..., destroy_versions: _Optional[_Union[ConfigVersions, _Mapping]] = ..., if_match: _Optional[str] = ..., schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ConfigVersions(_message.Message):
    __slots__ = ("numbers", "all")
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    numbers: _containers.RepeatedScalarFieldContainer[int]
    all: bool
    def __init__(self, numbers: _Optional[_Iterable[int]] = ..., all: _Optional[bool] = ...) -> None: ...

class WriteConfigResponse(_message.Message):
    __slots__ = ("tenant", "name", "version", "etag", "written_at", "written_by", "rotation", "destroyed_versions")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_AT_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BY_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    DESTROYED_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    version: int
    etag: str
    written_at: _timestamp_pb2.Timestamp
    written_by: str
    rotation: ConfigRotation
    destroyed_versions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., etag: _Optional[str] = ..., written_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., written_by: _Optional[str] = ..., rotation: _Optional[_Union[ConfigRotation, _Mapping]] = ..., destroyed_versions: _Optional[_Iterable[int]] = ...) -> None: ...
