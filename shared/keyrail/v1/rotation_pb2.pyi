from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RotateDueRequest(_message.Message):
    __slots__ = ("budget_seconds", "max_rotations")
    BUDGET_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_ROTATIONS_FIELD_NUMBER: _ClassVar[int]
    budget_seconds: int
    max_rotations: int
    def __init__(self, budget_seconds: _Optional[int] = ..., max_rotations: _Optional[int] = ...) -> None: ...

class RotateDueResponse(_message.Message):
    __slots__ = ("rotated", "resumed", "retired", "skipped", "failed", "remaining", "failures", "events_sent", "events_waiting")
    ROTATED_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_SENT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_WAITING_FIELD_NUMBER: _ClassVar[int]
    rotated: int
    resumed: int
    retired: int
    skipped: int
    failed: int
    remaining: int
    failures: _containers.RepeatedCompositeFieldContainer[TickFailure]
    events_sent: int
    events_waiting: int
    def __init__(self, rotated: _Optional[int] = ..., resumed: _Optional[int] = ..., retired: _Optional[int] = ..., skipped: _Optional[int] = ..., failed: _Optional[int] = ..., remaining: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[TickFailure, _Mapping]]] = ..., events_sent: _Optional[int] = ..., events_waiting: _Optional[int] = ...) -> None: ...

class TickFailure(_message.Message):
    __slots__ = ("subject", "code")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    subject: str
    code: str
    def __init__(self, subject: _Optional[str] = ..., code: _Optional[str] = ...) -> None: ...

class SweepRequest(_message.Message):
    __slots__ = ("budget_seconds", "unused_days", "cursor")
    BUDGET_SECONDS_FIELD_NUMBER: _ClassVar[int]
    UNUSED_DAYS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    budget_seconds: int
    unused_days: int
    cursor: str
    def __init__(self, budget_seconds: _Optional[int] = ..., unused_days: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class SweepResponse(_message.Message):
    __slots__ = ("looked_at", "rebuilt", "tidied", "unlisted", "failed", "unused", "old_pepper", "by_pepper_version", "failures", "next_cursor")
    class ByPepperVersionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    LOOKED_AT_FIELD_NUMBER: _ClassVar[int]
    REBUILT_FIELD_NUMBER: _ClassVar[int]
    TIDIED_FIELD_NUMBER: _ClassVar[int]
    UNLISTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    UNUSED_FIELD_NUMBER: _ClassVar[int]
    OLD_PEPPER_FIELD_NUMBER: _ClassVar[int]
    BY_PEPPER_VERSION_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    looked_at: int
    rebuilt: int
    tidied: int
    unlisted: int
    failed: int
    unused: _containers.RepeatedScalarFieldContainer[str]
    old_pepper: _containers.RepeatedScalarFieldContainer[str]
    by_pepper_version: _containers.ScalarMap[str, int]
    failures: _containers.RepeatedCompositeFieldContainer[TickFailure]
    next_cursor: str
    def __init__(self, looked_at: _Optional[int] = ..., rebuilt: _Optional[int] = ..., tidied: _Optional[int] = ..., unlisted: _Optional[int] = ..., failed: _Optional[int] = ..., unused: _Optional[_Iterable[str]] = ..., old_pepper: _Optional[_Iterable[str]] = ..., by_pepper_version: _Optional[_Mapping[str, int]] = ..., failures: _Optional[_Iterable[_Union[TickFailure, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...
