"""`keyrail migrate` between a real OpenBao and DynamoDB as moto has it."""

import json
import re
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from dev_process import run_here
from dynamo_rights import rights_allowed, rights_of
from migrating import Between, interrupt

from aws_faults import ANSWER_LOST, Fate, aws_error, serving
from aws_faults import Between as Proxy
from counted_table import CountedTable
from keyrail.adapters import vault_usage
from keyrail.adapters.dynamodb_layout import record_pk
from keyrail.adapters.dynamodb_table import DynamoTable
from keyrail.domain.decisions import Code, Need
from keyrail.triggers import cli_migrate_run
from keyrail.validation import check_key
from vault_mount import Mount, QuietUsageLog
from vault_world import vault_world

THROTTLED = Fate(aws_error("ThrottlingException"))


@pytest.fixture
def between(
    mount: Mount, dynamo_table: CountedTable, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Between]:
    monkeypatch.setattr(vault_usage, "VaultUsageLog", QuietUsageLog)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", aws_endpoint)
    with vault_world(mount) as world:
        yield Between(world, dynamo_table, aws_endpoint, tmp_path / "report.jsonl")


def test_there_and_back_every_holder_is_told_the_same(between: Between) -> None:
    ids = between.fill(8)
    between.world.clock.seconds += 61  # one has expired
    before = between.codes("vault")
    assert {*before.values()} == {"VALID", "REVOKED", "DISABLED", "EXPIRED"}
    assert between.counts("dynamodb") == {"copied": 10, "hints": 3, "records": 10, "records there": 10}
    assert between.are_alike()
    assert between.codes("dynamodb") == before
    assert between.listed("dynamodb") == between.listed("vault")
    far = between.world.clock.now() + timedelta(days=365)
    assert between.services("dynamodb").due.due(far) == between.services("vault").due.due(far)

    assert between.counts("dynamodb") == {"same": 10, "hints there": 3, "records": 10, "records there": 10}

    between.switch("dynamodb")
    between.update(ids[3], name="changed in DynamoDB")
    between.revoke(ids[4])
    between.issue(name="new in DynamoDB")
    counts = between.counts("vault")
    assert {name: counts[name] for name in ("updated", "revoked", "copied", "same")} == {
        "updated": 1,
        "revoked": 1,
        "copied": 1,
        "same": 8,
    }
    assert between.are_alike()
    assert between.codes("vault") == between.codes("dynamodb")
    assert between.listed("vault") == between.listed("dynamodb")


def test_a_table_that_was_used_first_moves_to_vault(between: Between) -> None:
    between.switch("dynamodb")
    between.fill(3)
    between.counts("vault")
    assert between.are_alike()
    assert between.codes("vault") == between.codes("dynamodb")


def test_once_the_records_have_left_vault_the_pepper_can_too(
    between: Between, mount: Mount, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    between.fill(4)
    before = between.codes("vault")
    between.counts("dynamodb")
    pepper = mount.root.secrets.kv.v2.read_secret_version(
        "pepper", mount_point=mount.name, raise_on_deleted_version=True
    )
    name = f"keyrail/{secrets.token_hex(4)}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws_endpoint)
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(pepper["data"]["data"]))
    moved = {"KEYRAIL_STORE": "dynamodb", "KEYRAIL_PEPPER": "secretsmanager", "KEYRAIL_PEPPER_SECRET": name}
    without_vault = {
        name: value for name, value in (between.env | moved).items() if "VAULT" not in name and "MOUNT" not in name
    }
    done = run_here("bootstrap", "--json", **without_vault)
    assert done.returncode == 0, done.stderr
    between.world.env = without_vault
    assert between.codes("dynamodb") == before


def test_what_the_functions_changed_after_their_switch_stays(between: Between) -> None:
    ids = between.fill(3)
    between.counts("dynamodb")
    between.switch("dynamodb")
    between.update(ids[1], state="active")
    counts = between.counts("dynamodb")
    assert (counts["newer there"], counts["same"]) == (1, 4)
    assert between.held("dynamodb")[ids[1]].record.state == "active"


def test_where_both_sides_changed_it_is_a_failure_and_revoking_is_not(between: Between) -> None:
    ids = between.fill(3)
    between.counts("dynamodb")
    between.update(ids[1], name="here")
    between.revoke(ids[1])
    between.switch("dynamodb")
    between.update(ids[1], name="there")
    done = between.migrate("dynamodb")
    assert (done.returncode, json.loads(done.stdout)["failures"]) == (1, [{"key_id": ids[1], "code": "BOTH_CHANGED"}])
    there = between.held("dynamodb")[ids[1]]
    assert there.record.name == "there"
    assert there.tombstone is not None


def test_killed_again_and_again_it_ends_and_nothing_is_ever_alive_that_was_revoked(between: Between) -> None:
    ids = between.fill(60)
    for key_id in ids[10:30]:
        between.revoke(key_id)
    kills = 0
    for pause_seconds in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        with between.start("dynamodb") as process:
            ends_at = time.monotonic() + 60
            while not between.report.exists() and time.monotonic() < ends_at:
                time.sleep(0.005)
            time.sleep(pause_seconds)
            kills += process.poll() is None
            process.kill()
            process.communicate()
        dead = {key_id for key_id, stored in between.held("vault").items() if stored.tombstone is not None}
        assert all(stored.tombstone for key_id, stored in between.held("dynamodb").items() if key_id in dead)
    assert kills
    between.counts("dynamodb")
    assert between.are_alike()
    counts = between.counts("dynamodb")
    assert (counts["same"], counts["records there"]) == (62, 62)


def test_changes_and_revocations_while_it_copies_arrive(between: Between) -> None:
    ids = between.fill(40)
    with between.start("dynamodb") as process:
        done = iter(ids[5:])
        while process.poll() is None:
            key_id = next(done, None)
            if key_id is not None:
                between.update(key_id, name="changed meanwhile")
                between.revoke(key_id)
        _, err = process.communicate()
    assert process.returncode == 0, err
    changed = 40 - len(list(done))
    assert changed > 5
    between.counts("dynamodb")
    assert between.are_alike()


class TestFollow:
    @pytest.fixture
    def copied(self, between: Between) -> list[str]:
        return between.fill(6)

    def test_a_revocation_in_vault_is_known_to_warm_instances_of_the_target_within_seconds(
        self, between: Between, copied: list[str]
    ) -> None:
        with between.start("dynamodb", "--follow") as process:
            try:
                assert process.stderr is not None
                while "Following" not in process.stderr.readline():
                    assert process.poll() is None
                validator = between.services("dynamodb")
                assert code_of(between, validator, copied[3]) is Code.VALID
                between.revoke(copied[3])
                between.update(copied[4], name="changed")
                ends_at = time.monotonic() + 5
                while code_of(between, validator, copied[3]) is Code.VALID:
                    assert time.monotonic() < ends_at
                    between.world.clock.seconds += 1.1  # the feed is read once a second; the TTL is 10
                    time.sleep(0.2)
                while between.held("dynamodb")[copied[4]].record.name != "changed":
                    assert time.monotonic() < ends_at
                    time.sleep(0.1)
            finally:
                code, out, _ = interrupt(process)
        counts = json.loads(out)
        assert (code, counts["revoked"], counts["updated"], counts["failures"]) == (0, 1, 1, [])

    def test_more_changes_than_the_feed_remembers_are_copied_too(self, between: Between, copied: list[str]) -> None:
        with between.start("dynamodb", "--follow") as process:
            try:
                assert process.stderr is not None
                while "Following" not in process.stderr.readline():
                    assert process.poll() is None
                process.send_signal(19)  # SIGSTOP
                between.revoke(copied[4])
                for _ in range(205):
                    between.world.services.feed.publish(copied[5])
                process.send_signal(18)  # SIGCONT
                ends_at = time.monotonic() + 20
                while between.held("dynamodb")[copied[4]].tombstone is None:
                    assert time.monotonic() < ends_at
                    time.sleep(0.1)
            finally:
                code, _, _ = interrupt(process)
        assert code == 0


def code_of(between: Between, services: Any, key_id: str) -> Code:
    return check_key(between.keys[key_id], Need(), services).code


def test_a_damaged_record_is_told_and_stops_no_other(between: Between, mount: Mount) -> None:
    ids = between.fill(6)
    mount.put(f"keys/{ids[4][:2]}/{ids[4]}", {"key_id": ids[4], "no": "record"}, cas=1)
    done = between.migrate("dynamodb")
    told = json.loads(done.stdout)
    assert (done.returncode, told["failures"]) == (1, [{"key_id": ids[4], "code": "UNREADABLE"}])
    assert (told["copied"], told["left"]) == (7, 0)
    assert ids[4] not in between.held("dynamodb")


def test_damage_at_the_target_is_told_and_not_written_over(between: Between) -> None:
    ids = between.fill(6)
    damaged = {"pk": {"S": record_pk(ids[4])}, "document": {"S": "{"}, "version": {"N": "1"}}
    between.table.write("put_item", Item=damaged)
    done = between.migrate("dynamodb")
    assert (done.returncode, json.loads(done.stdout)["failures"]) == (1, [{"key_id": ids[4], "code": "UNREADABLE"}])
    assert between.table.read_items([record_pk(ids[4])])[record_pk(ids[4])] == damaged


class TestBusy:
    """moto, behind a server that throttles, loses answers or is away."""

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cli_migrate_run, "PAUSES_SECONDS", (0.01,) * 6)

    def test_throttled_it_slows_down_and_copies_all(self, between: Between) -> None:
        between.fill(6)
        proxy = Proxy(between.endpoint)
        proxy.fates = [None] * 3 + ([THROTTLED] * 40 + [ANSWER_LOST, None]) * 3
        with serving(proxy.answer) as url:
            done = between.migrate("dynamodb", AWS_ENDPOINT_URL_DYNAMODB=url)
        assert done.returncode == 0, done.stdout
        assert proxy.fates == []
        assert between.are_alike()

    def test_where_a_store_goes_away_the_rest_is_left_to_the_next_run(self, between: Between) -> None:
        between.fill(30)
        proxy = Proxy(between.endpoint)
        proxy.fates = [None] * 40 + [THROTTLED] * 10_000
        with serving(proxy.answer) as url:
            done = between.migrate("dynamodb", AWS_ENDPOINT_URL_DYNAMODB=url)
        told = json.loads(done.stdout)
        assert done.returncode == 3
        assert told["copied"] > 0
        assert told["left"] > 0
        assert proxy.seen < 2000
        between.counts("dynamodb")
        assert between.are_alike()


def test_without_a_table_nothing_is_asked_and_nothing_begun(between: Between) -> None:
    between.fill(3)
    done = between.migrate("dynamodb", KEYRAIL_DYNAMODB_TABLE="keyrail-that-is-not-there")
    assert (done.returncode, done.stdout) == (3, "")
    assert "ResourceNotFoundException" in done.stderr


def test_where_there_is_no_vault_there_is_nothing_to_move(between: Between) -> None:
    done = between.migrate("dynamodb", KEYRAIL_STORE="dynamodb", KEYRAIL_PEPPER="kms")
    assert (done.returncode, done.stdout) == (2, "")
    assert "KEYRAIL_PEPPER" in done.stderr
    assert not between.report.exists()


def test_a_dry_run_counts_and_writes_nothing(between: Between) -> None:
    between.fill(3)
    assert between.counts("dynamodb", "--dry-run") == {"copied": 5, "hints": 3}
    assert not between.report.exists()
    assert between.held("dynamodb") == {}


def test_it_asks_first(between: Between) -> None:
    between.fill(3)
    done = run_here("migrate", "--to", "dynamodb", "--report", str(between.report), stdin="no\n", **between.env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Copy 5 keys from Vault to DynamoDB?" in done.stderr
    assert between.held("dynamodb") == {}


def test_without_a_report_it_is_not_done(between: Between) -> None:
    done = run_here("migrate", "--to", "dynamodb", "--yes", **between.env)
    assert (done.returncode, "--report" in done.stderr) == (2, True)


def test_its_policy_allows_what_it_asks_of_dynamodb_and_nothing_else(
    between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []
    once = DynamoTable._once

    def noted(table: DynamoTable, action: str, request: dict[str, Any]) -> dict[str, Any]:
        asked.append((action, request))
        return once(table, action, request)

    monkeypatch.setattr(DynamoTable, "_once", noted)
    ids = between.fill(4)
    between.migrate("dynamodb")
    between.update(ids[3], name="changed")
    between.revoke(ids[3])
    between.migrate("dynamodb")
    between.migrate("vault")
    policy = json.loads(Path("infra/aws/migrate.json").read_text())
    needed = {right for action, request in asked for right in rights_of(action, request)}
    assert needed == rights_allowed(policy["Statement"])


def test_nothing_secret_is_told_or_noted(between: Between) -> None:
    between.fill(3)
    done = between.migrate("dynamodb")
    told = done.stdout + done.stderr + between.report.read_text()
    digests = [g.digest for stored in between.held("vault").values() for g in stored.record.generations]
    for secret in (*between.keys.values(), *digests, between.world.env["VAULT_TOKEN"], "ab" * 32, "testing"):
        assert secret not in told
    assert not re.search("leaked|ml-team|acme", told), "nor whose keys they are"
