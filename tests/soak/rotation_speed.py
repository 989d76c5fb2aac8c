"""How long rotators side by side take for everything that is due, on real processes and a real OpenBao."""

import http.client
import json
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
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

WRITERS = 4
BUDGET_SECONDS = 600


def measure(keys: int, due: int, rotators: int) -> dict[str, Any]:
    """`keys` in all, of which `due` are due. Fails where one was not rotated exactly once, or its sink does not hold
    the current secret."""
    with tempfile.TemporaryDirectory() as folder, OpenBao(Path(folder) / "openbao") as vault:
        deployment = Deployment(vault, Path(folder) / "deployment", Canary())
        try:
            return _measured(deployment, keys, due, rotators)
        finally:
            deployment.stop()


def _measured(deployment: Deployment, keys: int, due: int, rotators: int) -> dict[str, Any]:
    services = _root_services(deployment)
    began_at = time.monotonic()
    due_ids = _make_keys(services, keys, due)
    made_in = time.monotonic() - began_at
    started = [deployment.launch("rotate", KEYRAIL_DELIVERY_MOUNT=deployment.delivery_mount) for _ in range(rotators)]
    for each in started:
        each.wait()
    time.sleep(1)  # the hints are of the second that follows
    calls_before = sum(_vault_calls(each) for each in started)
    began_at = time.monotonic()
    with ThreadPoolExecutor(rotators) as pool:
        replies = list(pool.map(lambda each: _tick(each, deployment.admin_key), started))
    seconds = time.monotonic() - began_at
    calls = sum(_vault_calls(each) for each in started) - calls_before
    assert {reply["failed"] for reply in replies} == {0}, replies
    assert sum(reply["rotated"] for reply in replies) == due, replies
    _assert_each_rotated_once(services, due_ids)
    return {
        "keys": keys,
        "due": due,
        "rotators": rotators,
        "seconds": round(seconds, 1),
        "rotations_a_second": round(due / seconds, 1),
        "rotated_by_each": [reply["rotated"] for reply in replies],
        "skipped_by_each": [reply["skipped"] for reply in replies],
        "vault_requests_a_rotation": round(calls / due, 1),
        "made_in_seconds": round(made_in, 1),
    }


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
    now = datetime.now(UTC)

    def make(number: int) -> str:
        key_id = new_key_id()
        text = services.key_format.assemble(key_id, new_secret())
        peppers = services.lookup.peppers()
        digest = peppers.current_digest(services.key_format.parse(text).body)
        at = now if number < due else now + timedelta(hours=1 + number % 100, seconds=number % 3600)
        record = KeyRecord(
            key_id=key_id,
            tenant="acme",
            env=services.key_format.environment,
            prefix=services.key_format.prefix,
            owner="ml-team",
            name=f"key {number}",
            created_at=now,
            created_by="soak",
            generations=(
                Generation(n=1, digest=digest, pepper_version=peppers.current, state="current", activated_at=now),
            ),
            rotation=Rotation(
                grace_seconds=3600,
                max_grace_seconds=3600,
                interval_seconds=86_400,
                next_at=at,
                sink=f"vault:acme/app-{number % 50}/key-{number}",
            ),
            scopes=("ml:infer",),
        )
        schedule(record, services)
        assert services.keys.create(record)
        return key_id

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(make, range(keys)))[:due]


def _tick(rotator: Instance, key: str) -> dict[str, Any]:
    url = urlsplit(rotator.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=BUDGET_SECONDS + 60)
    body = json.dumps({"budget_seconds": BUDGET_SECONDS, "max_rotations": 10_000})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/rotation/tick", body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 200, text
    reply: dict[str, Any] = json.loads(text)
    return reply


def _vault_calls(rotator: Instance) -> float:
    url = urlsplit(rotator.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return sum(float(value) for value in re.findall(r"^keyrail_vault_\w*_count\{[^}]*\} (\S+)$", text, re.MULTILINE))


def _assert_each_rotated_once(services: Services, key_ids: list[str]) -> None:
    def look(key_id: str) -> None:
        stored = services.keys.find(key_id)
        assert stored is not None
        assert {g.n: g.state for g in stored.record.generations} == {1: "retiring", 2: "current"}, key_id
        held = services.delivery.read(parse_sink(stored.record.rotation.sink or "", "acme"))
        assert held is not None
        decision = examine(held.key, Need(tenant="acme"), services)
        assert decision
        assert decision.generation is not None
        assert decision.generation.n == 2, key_id

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(look, key_ids))
