"""Which of two stores has the newer record of a key. Pure; keyrail/migration.py moves it.

Each store counts versions for itself, so one's say nothing of the other's. What is known is what was noted: that both
held the same record, at which version each. A side that still is where a note says has not changed since.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

from keyrail.domain.digest import fingerprint
from keyrail.domain.records import KeyRecord, StoredKey, encode


@dataclass(frozen=True, slots=True)
class Alike:
    """One record at its version in each of the stores."""

    source_version: int
    target_version: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Of one key. `intended`: what a run was about to write to the target since, and may have written; not settled
    where it may also have been a tombstone."""

    agreed: Alike | None = None
    intended: tuple[Alike, ...] = ()
    is_settled: bool = True


class Newer(StrEnum):
    NEITHER = "neither"
    SOURCE = "source"
    TARGET = "target"
    UNKNOWN = "unknown"  # both changed, or nothing is noted


def alike(source: StoredKey, target_version: int) -> Alike:
    return Alike(source.version, target_version, record_fingerprint(source.record))


def newer(source: StoredKey, target: StoredKey, noted: Noted) -> Newer:
    if source.record == target.record:
        return Newer.NEITHER
    known, agreed = (*noted.intended, noted.agreed), noted.agreed
    here, there = record_fingerprint(source.record), record_fingerprint(target.record)
    if agreed is not None and (agreed.source_version, agreed.fingerprint) == (source.version, here):
        return Newer.TARGET
    if any(each and (each.target_version, each.fingerprint) == (target.version, there) for each in known):
        return Newer.SOURCE
    return Newer.UNKNOWN


def record_fingerprint(record: KeyRecord) -> str:
    """The same in every store; no secret, as a digest without its pepper is none."""
    return fingerprint(json.dumps(encode(record), sort_keys=True))[:32]
