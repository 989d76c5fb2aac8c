"""The life of a key without any Vault: real function processes, a table, and a pepper in Secrets Manager or of KMS."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_world import PEPPERS, AwsWorld
from canary import Canary
from deployed import ALL, Instance
from http_api import Api

from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.pepper_admin import PepperAdmin
from keyrail.adapters.secrets_manager_pepper import SecretsManagerPepperPlace
from keyrail.dev.functions import environment, wait_until_ready
from keyrail.domain.decisions import Need
from keyrail.domain.errors import Conflict
from keyrail.domain.key_format import KeyFormat
from keyrail.operations import issue_key, rotate
from keyrail.validation import check_key

USE_SECONDS = 30.0  # use is written every ten seconds


class Deployed:
    """Functions that know AWS and nothing else; `topic` gets the events, and `queue` gets them from there."""

    def __init__(self, world: AwsWorld, canary: Canary, folder: Path) -> None:
        self.world, self.canary, self._folder = world, canary, folder
        endpoint = world.env["AWS_ENDPOINT_URL"]
        sns, self.sqs = (AwsClient(name, 10.0, endpoint).get() for name in ("sns", "sqs"))
        topic = sns.create_topic(Name=world.table.name)["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName=world.table.name)["QueueUrl"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self._arn_of_queue())
        world.env["KEYRAIL_EVENT_ARN"] = topic
        done = world.keyrail_here("bootstrap")
        assert done.returncode == 0, done.stderr
        self.admin_key = done.stdout.strip()
        canary.knows_key(self.admin_key)
        for pepper in world.services().lookup.peppers().by_version.values():
            canary.knows("a pepper", pepper.hex())
        self.instances: dict[str, Instance] = {}
        self.api = Api(canary, self.admin_key, lambda name: self.instances[name].url)

    def start(self, *names: str) -> None:
        env = {**environment(self.world.env["VAULT_ADDR"], {}), **self.world.env}
        started = {name: Instance(name, env, self._folder / "logs") for name in names}
        self.instances |= started
        wait_until_ready([instance.function for instance in started.values()])

    def stop(self) -> None:
        for instance in self.instances.values():
            instance.kill()
        for instance in self.instances.values():
            instance.function.process.stop()
            for log in instance.logs:
                self.canary.search(f"the output of {instance.name}", log.read_text(errors="replace"))

    def tick(self) -> dict[str, Any]:
        return self.api.call("rotate", "POST", "/v1/rotation/tick", {}).ok()

    def told(self) -> list[str]:
        """The types of the events that arrived."""
        received = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", ())
        events = [json.loads(json.loads(message["Body"])["Message"]) for message in received]
        self.canary.search("an event", json.dumps(events))
        return [event["type"] for event in events]

    def _arn_of_queue(self) -> str:
        asked = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        return str(asked["Attributes"]["QueueArn"])


@pytest.fixture
def deployed(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    aws_endpoint: str,
    canary: Canary,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployed]:
    world = AwsWorld.make(monkeypatch, aws_endpoint, request.param)
    made = Deployed(world, canary, tmp_path_factory.mktemp("without-vault"))
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("deployed", ["secretsmanager"], indirect=True)
def test_a_key_lives_and_dies_and_all_of_it_is_in_aws(deployed: Deployed) -> None:
    deployed.start(*ALL)
    api, world = deployed.api, deployed.world
    first = api.issue()
    assert api.code_of(first.text) == "VALID"
    api.update(first.key_id, name="another").ok()
    second = api.rotate(first.key_id).ok()["key"]
    assert (api.code_of(first.text), api.code_of(second)) == ("VALID", "VALID")
    assert [each["key_id"] for each in api.list_page().ok()["keys"]] == [first.key_id]

    rotation = {"sink": "secretsmanager:acme/gateway", "interval_seconds": 3600, "grace_seconds": 600}
    in_sink = api.issue(rotation=rotation)
    time.sleep(1.0)  # hints are of whole seconds
    report = deployed.tick()
    assert (report["rotated"], report["events_waiting"], report["failures"]) == (1, 0, [])
    client = AwsClient("secretsmanager", 10.0, world.env["AWS_ENDPOINT_URL"]).get()
    name = f"{world.env['KEYRAIL_SECRETS_PREFIX']}acme/gateway"
    delivered = json.loads(client.get_secret_value(SecretId=name)["SecretString"])["api_key"]
    deployed.canary.knows_key(delivered)
    assert (delivered.split("_")[2], api.code_of(delivered)) == (in_sink.key_id, "VALID")

    api.revoke(first.key_id).ok()
    time.sleep(1.5)  # the feed is read once a second
    assert (api.code_of(first.text), api.code_of(second)) == ("REVOKED", "REVOKED")
    deployed.tick()
    told = deployed.told() + deployed.told()
    assert {"keyrail.key.issued", "keyrail.rotation.promoted", "keyrail.key.revoked"} <= set(told)
    assert api.call("rotate", "POST", "/v1/rotation/sweep", {}).ok()["failures"] == []

    ends_at = time.monotonic() + USE_SECONDS
    while f"usage#{first.key_id}" not in world.items():
        assert time.monotonic() < ends_at
        time.sleep(0.5)
    kinds = {pk.partition("#")[0] for pk in world.items()}
    assert kinds == {"bootstrap/admin", "due", "feed", "key", "rbac/roles", "revoked", "usage"}
    deployed.canary.search("DynamoDB", str(world.items()))


@pytest.mark.parametrize("deployed", ["secretsmanager"], indirect=True)
def test_configs_and_sinks_of_vault_are_refused_and_say_why(deployed: Deployed) -> None:
    deployed.start("read_config", "write_config", "issue_key", "rotate")
    api = deployed.api
    for function, method, body in (("read_config", "GET", None), ("write_config", "PUT", {"value": 1})):
        reply = api.call(function, method, "/v1/config/models/openai", body)
        assert (reply.status, reply.code) == (422, "CONFIGS_NEED_VAULT")
        assert reply.json["detail"] == "Configs are kept in Vault, and this deployment has none."
    api.issue(rotation={"sink": "vault:acme/gateway", "interval_seconds": 3600, "grace_seconds": 600})
    time.sleep(1.0)  # hints are of whole seconds
    tick = api.call("rotate", "POST", "/v1/rotation/tick", {})
    assert (tick.status, [each["code"] for each in tick.json["failures"]]) == (503, ["DELIVERY_FAILED"])


@pytest.mark.parametrize("deployed", PEPPERS, indirect=True)
def test_a_new_pepper_reaches_running_functions_and_old_keys_go_on(deployed: Deployed) -> None:
    deployed.start("issue_key", "validate_key", "rotate")
    api, world = deployed.api, deployed.world
    old = api.issue()
    assert api.code_of(old.text) == "VALID"
    assert world.keyrail_here("pepper", "rotate").stdout == "made    pepper  (version 2 is current)\n"
    time.sleep(1.5)  # the feed is read once a second
    new = api.issue()
    assert (api.code_of(old.text), api.code_of(new.text)) == ("VALID", "VALID")
    versions = [world.document(f"key#{key.key_id}")["generations"][0]["pepper_version"] for key in (old, new)]
    assert versions == [1, 2]
    rotated = api.rotate(old.key_id, grace_seconds=0).ok()["key"]
    assert (api.code_of(rotated), api.code_of(old.text)) == ("VALID", "ROTATED_OUT")
    counted = json.loads(world.keyrail_here("pepper", "status", "--json").stdout)
    assert counted["keys_by_version"] == {"1": 1, "2": 2}, "the admin key still needs the first"
    for pepper in world.services().lookup.peppers().by_version.values():
        deployed.canary.knows("a pepper", pepper.hex())
        deployed.canary.search("DynamoDB", str(world.items()))


@pytest.mark.parametrize("pepper", PEPPERS)
def test_a_dropped_version_is_gone_and_what_needed_it_is_unknown(
    monkeypatch: pytest.MonkeyPatch, aws_endpoint: str, pepper: str
) -> None:
    world = AwsWorld.make(monkeypatch, aws_endpoint, pepper)
    _, (admin_key,) = world.bootstrap()
    services = world.services()
    issued = world.call(services, issue_key.OPERATION, tenant="acme", owner="a", name="a key")
    admin = PepperAdmin(world.place.pepper, services, settle_seconds=-5)
    admin.rotate()
    with pytest.raises(Conflict, match="a moment ago"):
        PepperAdmin(world.place.pepper, services).drop(1)
    with pytest.raises(Conflict) as in_use:
        admin.drop(1)
    assert in_use.value.code == "PEPPER_IN_USE"
    assert issued.key_id in in_use.value.public
    now = world.call(services, rotate.OPERATION, key_id=issued.key_id, grace_seconds=0).key
    _, (admin_key_now,) = world.bootstrap(new_admin=True)
    assert admin.drop(1).note == "dropped"
    others = world.services()
    assert others.lookup.peppers().by_version.keys() == {2}
    codes = {key: str(check_key(key, Need(), others).code) for key in (issued.key, now, admin_key, admin_key_now)}
    assert list(codes.values()) == ["NOT_FOUND", "VALID", "NOT_FOUND", "VALID"]
    assert KeyFormat().parse(now).key_id == issued.key_id


def test_a_drop_that_was_cut_off_is_finished_by_the_next(monkeypatch: pytest.MonkeyPatch, aws_endpoint: str) -> None:
    world = AwsWorld.make(monkeypatch, aws_endpoint, "secretsmanager")
    world.bootstrap()
    admin = PepperAdmin(world.place.pepper, world.services(), settle_seconds=-5)
    admin.rotate()
    world.bootstrap(new_admin=True)
    client = AwsClient("secretsmanager", 10.0, aws_endpoint).get()
    before = {"SecretId": world.env["KEYRAIL_PEPPER_SECRET"], "VersionStage": "AWSPREVIOUS"}

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(SecretsManagerPepperPlace, "forget_history", killed)
        with pytest.raises(KeyboardInterrupt):
            admin.drop(1)
    assert '"1"' in client.get_secret_value(**before)["SecretString"], "the dropped pepper"
    assert admin.drop(1).outcome == "kept"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_secret_value(**before)
