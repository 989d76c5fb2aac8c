"""Three rotators tick side by side until every key that is due is rotated into its sink, among many that are not due."""

import http.client
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from canary import Canary
from deployed import Deployment, Instance

from keyrail.bootstrap import build_services
from keyrail.dev.openbao import OpenBao
from keyrail.domain.decisions import Need
from keyrail.domain.key_format import new_key_id, new_secret
from keyrail.domain.records import Generation, KeyRecord, Rotation
from keyrail.domain.sinks import parse_sink
from keyrail.ports import Services
from keyrail.rotation import schedule
from keyrail.settings import load_settings
from keyrail.validation import examine
from soak.figures import Figure, Options, Progress, judged

KEYS, DUE, ROTATORS = 10_000, 1000, 3
SECONDS = 120
WRITERS = 4
BUDGET_SECONDS = 600
A_PART = 200  # keys between two words of progress


@dataclass(frozen=True)
class Measured:
    """`wrong` are due keys that are not rotated exactly once by their record, or whose sink does not hold the current
    secret; `told` says how often a promotion was told of each key; `others_read` are reads of keys that are not due."""

    seconds: float
    reports: list[dict[str, Any]]
    wrong: list[str]
    told: Counter[str]
    others_read: int
    records_read: int


def run(options: Options) -> list[Figure]:
    keys, due = options.of(KEYS), options.of(DUE)
    seen = measure(keys, due, ROTATORS)
    asked = f"{due:,} due of {keys:,}, {ROTATORS} rotators"
    twice_or_never = sum(count != 1 for count in seen.told.values()) + due - len(seen.told)
    shares = ", ".join(str(report["rotated"]) for report in seen.reports)
    failed = sum(report["failed"] for report in seen.reports)
    return [
        judged("due: time", asked, round(seen.seconds, 1), "<", SECONDS, "s"),
        judged("due: rotated not exactly once, by records", asked, len(seen.wrong), "=", 0),
        judged("due: rotated not exactly once, by audit events", asked, twice_or_never, "=", 0),
        judged("due: failed", asked, failed, "=", 0),
        judged("due: records read of keys not due", f"{seen.records_read:,} reads", seen.others_read, "=", 0),
        Figure("due: rotated by each", asked, shares),
    ]


def measure(keys: int, due: int, rotators: int) -> Measured:
    """`keys` in all, of which `due` are due."""
    with tempfile.TemporaryDirectory() as folder, OpenBao(Path(folder) / "openbao", audit=True) as vault:
        deployment = Deployment(vault, Path(folder) / "deployment", Canary())
        try:
            services = _root_services(deployment)
            due_ids = _make_keys(services, keys, due)
            return _ticked(deployment, services, due_ids, rotators)
        finally:
            deployment.stop()


def _ticked(deployment: Deployment, services: Services, due_ids: list[str], rotators: int) -> Measured:
    started = deployment.start(*["rotate"] * rotators)
    time.sleep(1)  # the hints are of the second that follows
    assert deployment.vault.audit_log is not None
    position = deployment.vault.audit_log.stat().st_size
    began_at = time.monotonic()
    with ThreadPoolExecutor(rotators) as pool:
        reports = list(pool.map(lambda each: _tick(each, deployment.admin_key), started))
    seconds = time.monotonic() - began_at
    read = list(_records_read(deployment, position))
    others = set(read) - set(due_ids) - {deployment.admin_key_id}
    wrong = _not_rotated_once(services, due_ids)
    told = Counter(subject for each in started for subject in _promotions(each))
    return Measured(seconds, reports, wrong, told, sum(key_id in others for key_id in read), len(read))


def _root_services(deployment: Deployment) -> Services:
    return build_services(
        load_settings(
            {
                "VAULT_ADDR": deployment.vault.address,
                "VAULT_TOKEN": deployment.vault.root_token,
                "KEYRAIL_VAULT_MOUNT": deployment.mount,
                "KEYRAIL_DELIVERY_MOUNT": deployment.delivery_mount,
                "KEYRAIL_FEED_POLL": "inline",
            }
        )
    )


def _make_keys(services: Services, keys: int, due: int) -> list[str]:
    """As issue_key writes them, those that are not due too: their hints lie in hours to come."""
    now, progress, made = datetime.now(UTC), Progress("keys made", keys), list[str]()

    def make(number: int) -> str:
        record = _record(services, number, now if number < due else _later(now, number), now)
        schedule(record, services)
        assert services.keys.create(record)
        return record.key_id

    with ThreadPoolExecutor(WRITERS) as pool:
        for start in range(0, keys, A_PART):
            made += pool.map(make, range(start, min(keys, start + A_PART)))
            progress.at(len(made))
    return made[:due]


def _later(now: datetime, number: int) -> datetime:
    return now + timedelta(hours=1 + number % 100, seconds=number % 3600)


def _record(services: Services, number: int, next_at: datetime, now: datetime) -> KeyRecord:
    key_id = new_key_id()
    text = services.key_format.assemble(key_id, new_secret())
    peppers = services.lookup.peppers()
    digest = peppers.current_digest(services.key_format.parse(text).body)
    first = Generation(n=1, digest=digest, pepper_version=peppers.current, state="current", activated_at=now)
    return KeyRecord(
        key_id=key_id,
        tenant="acme",
        env=services.key_format.environment,
        prefix=services.key_format.prefix,
        owner="ml-team",
        name=f"key {number}",
        created_at=now,
        created_by="0" * 16,
        generations=(first,),
        rotation=Rotation(
            grace_seconds=3600,
            max_grace_seconds=3600,
            interval_seconds=86_400,
            next_at=next_at,
            sink=f"vault:acme/app-{number % 50}/key-{number}",
        ),
        scopes=("ml:infer",),
    )


def _tick(rotator: Instance, key: str) -> dict[str, Any]:
    url = urlsplit(rotator.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=BUDGET_SECONDS + 60)
    body = json.dumps({"budget_seconds": BUDGET_SECONDS, "max_rotations": 10_000})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/rotation/tick", body, headers)
    report: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return report


def _records_read(deployment: Deployment, position: int) -> Iterator[str]:
    """The key id of each read of a record since then, by Vault's own audit log."""
    assert deployment.vault.audit_log is not None
    folder = f"{deployment.mount}/data/keys/"
    with deployment.vault.audit_log.open() as log:
        log.seek(position)
        for line in log:
            if folder in line:
                entry = json.loads(line)
                if entry["type"] == "request" and entry["request"]["operation"] == "read":
                    yield entry["request"]["path"].rpartition("/")[2]


def _promotions(rotator: Instance) -> Iterator[str]:
    """Whom each audit event of a promotion is about."""
    for line in rotator.logs[-1].read_text().splitlines():
        if '"rotation.promoted"' in line and (event := json.loads(line))["kind"] == "audit":
            yield event["subject"]


def _not_rotated_once(services: Services, key_ids: list[str]) -> list[str]:
    def is_right(key_id: str) -> bool:
        stored = services.keys.find(key_id)
        assert stored is not None
        held = services.delivery.read(parse_sink(stored.record.rotation.sink or "", "acme"))
        generation = examine(held.key if held else "", Need(tenant="acme"), services).generation
        states = {g.n: g.state for g in stored.record.generations}
        return states == {1: "retiring", 2: "current"} and generation is not None and generation.n == 2

    with ThreadPoolExecutor(WRITERS) as pool:
        return [key_id for key_id, right in zip(key_ids, pool.map(is_right, key_ids), strict=True) if not right]
