"""`keyrail bootstrap`, `doctor` and `pepper` with AWS credentials and no Vault: safe to repeat, and each fault told."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_world import NOWHERE, PEPPERS, AwsWorld

from keyrail.adapters.aws_client import AwsClient
from keyrail.domain.decisions import Need
from keyrail.domain.errors import InvalidArgument, Unavailable
from keyrail.domain.roles import BUILT_IN_ROLES
from keyrail.validation import check_key


@pytest.fixture(params=PEPPERS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, aws_endpoint: str) -> AwsWorld:
    return AwsWorld.make(monkeypatch, aws_endpoint, request.param)


@pytest.fixture
def in_secrets_manager(monkeypatch: pytest.MonkeyPatch, aws_endpoint: str) -> AwsWorld:
    return AwsWorld.make(monkeypatch, aws_endpoint, "secretsmanager")


def code_of(world: AwsWorld, key: str) -> str:
    return str(check_key(key, Need(), world.services()).code)


def findings(world: AwsWorld, **env: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = world.keyrail_here("doctor", "--json", **env)
    return done.returncode, {each["check"]: each for each in json.loads(done.stdout)["checks"]}


def test_the_first_run_makes_all_and_the_next_ones_nothing(world: AwsWorld) -> None:
    steps, keys = world.bootstrap()
    assert steps == {
        f"table {world.table.name}": "kept",
        "pepper": "made",
        "default roles": "made",
        "admin key": "made",
    }
    assert code_of(world, keys[0]) == "VALID"
    before = world.items()
    steps, keys = world.bootstrap()
    assert (set(steps.values()), keys) == ({"kept"}, [])
    assert world.items() == before


def test_the_command_hands_the_key_over_once_and_the_doctor_is_content(world: AwsWorld) -> None:
    made = world.keyrail_here("bootstrap", VAULT_TOKEN="")
    assert made.returncode == 0
    assert code_of(world, made.stdout.strip()) == "VALID"
    assert world.keyrail_here("bootstrap").stdout == ""
    code, found = findings(world)
    assert (code, [name for name, each in found.items() if not each["ok"]]) == (0, [])
    account = ["credentials", f"table {world.table.name}", "clock"]
    assert list(found) == [*account, "pepper", "roles", "change feed", "admin key", "pepper as functions get it"]


def test_a_lost_admin_key_is_replaced(world: AwsWorld) -> None:
    _, (first,) = world.bootstrap()
    _, (second,) = world.bootstrap(new_admin=True)
    assert (code_of(world, first), code_of(world, second)) == ("REVOKED", "VALID")


def test_what_is_not_there_is_told_with_what_to_do(world: AwsWorld) -> None:
    code, found = findings(world)
    got = found.pop("pepper as functions get it")
    assert (got["ok"], "run `keyrail bootstrap`" in got["note"]) == (False, True)
    assert (code, {name for name, each in found.items() if not each["ok"]}) == (1, {"pepper", "roles", "admin key"})
    assert {each["advice"] for each in found.values() if not each["ok"]} == {"Run `keyrail bootstrap`."}


def test_without_a_table_nothing_more_is_asked(world: AwsWorld) -> None:
    code, found = findings(world, KEYRAIL_DYNAMODB_TABLE="another")
    assert (code, list(found)) == (1, ["credentials", "table another"])
    assert "ResourceNotFoundException" in found["table another"]["note"]
    done = world.keyrail_here("bootstrap", KEYRAIL_DYNAMODB_TABLE="another")
    assert (done.returncode, done.stdout) == (3, "")


def test_a_table_without_its_indexes_is_refused_before_anything_is_written(in_secrets_manager: AwsWorld) -> None:
    client = in_secrets_manager.table.client()
    name = f"{in_secrets_manager.table.name}-bare"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    done = in_secrets_manager.keyrail_here("bootstrap", KEYRAIL_DYNAMODB_TABLE=name)
    assert done.returncode == 2
    assert "lacks the index by_position over shard and position" in done.stderr
    assert client.scan(TableName=name)["Items"] == []
    assert in_secrets_manager.place.pepper.read() is None


def fewer_roles(world: AwsWorld) -> None:
    world.place.documents.write("rbac/roles", {"admin": ["*"]}, 1)


def cut_off(world: AwsWorld) -> None:
    marker = world.document("bootstrap/admin")
    world.place.documents.write("bootstrap/admin", marker | {"handed_over": False}, 2)


@pytest.mark.parametrize(
    ("fault", "check", "told"),
    [(fewer_roles, "roles", "lack issuer"), (cut_off, "admin key", "cut off before it handed the key over")],
)
def test_each_fault_is_found_and_only_that(
    in_secrets_manager: AwsWorld, fault: Callable[[AwsWorld], None], check: str, told: str
) -> None:
    in_secrets_manager.bootstrap()
    fault(in_secrets_manager)
    code, found = findings(in_secrets_manager)
    assert (code, {name for name, each in found.items() if not each["ok"]}) == (1, {check})
    assert told in found[check]["note"]
    steps, _ = in_secrets_manager.bootstrap()
    assert steps["default roles" if check == "roles" else check] != "kept"
    assert findings(in_secrets_manager)[0] == 0


def test_a_key_of_kms_that_is_gone_is_found(monkeypatch: pytest.MonkeyPatch, aws_endpoint: str) -> None:
    world = AwsWorld.make(monkeypatch, aws_endpoint, "kms")
    world.bootstrap()
    gone = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    assert world.place.documents.write("pepper", {"current": 1, "versions": {"1": gone}}, 1)
    _, found = findings(world)
    assert {name for name, each in found.items() if not each["ok"]} == {"pepper as functions get it"}
    assert "NotFoundException" in found["pepper as functions get it"]["note"]


def test_missing_roles_are_added_and_others_stay(world: AwsWorld) -> None:
    world.bootstrap()
    world.place.documents.write("rbac/roles", {"admin": ["*"], "ours": ["ml:infer"]}, 1)
    assert world.bootstrap()[0]["default roles"] == "mended"
    services = world.services()
    assert services.lookup.roles().by_name == {**BUILT_IN_ROLES, "ours": ("ml:infer",)}
    assert services.feed.head().ring == ("roles",), "instances are told"


def test_a_malformed_pepper_is_left_alone(world: AwsWorld) -> None:
    world.bootstrap()
    spoil_pepper(world)
    with pytest.raises(InvalidArgument, match="malformed"):
        world.bootstrap()
    assert findings(world)[1]["pepper"]["note"] == "is malformed"
    with pytest.raises(Unavailable):
        world.services().lookup.peppers()


def spoil_pepper(world: AwsWorld) -> None:
    """As somebody at a console might."""
    if world.env["KEYRAIL_PEPPER"] == "kms":
        assert world.place.documents.write("pepper", {"current": 1, "versions": {"1": "alias/moved"}}, 1)
    else:
        client = AwsClient("secretsmanager", 10.0, world.env["AWS_ENDPOINT_URL"]).get()
        client.put_secret_value(SecretId=world.env["KEYRAIL_PEPPER_SECRET"], SecretString='{"current": 1}')


def test_a_secret_that_terraform_made_empty_is_filled(in_secrets_manager: AwsWorld) -> None:
    client = AwsClient("secretsmanager", 10.0, in_secrets_manager.env["AWS_ENDPOINT_URL"]).get()
    client.create_secret(Name=in_secrets_manager.env["KEYRAIL_PEPPER_SECRET"])
    assert in_secrets_manager.bootstrap()[0]["pepper"] == "made"
    assert in_secrets_manager.bootstrap()[0]["pepper"] == "kept"


def test_a_pepper_that_comes_from_vault_is_kept(in_secrets_manager: AwsWorld) -> None:
    """Its document is the same, so the digests of keys that were moved go on."""
    document = {"current": 2, "versions": {"1": "ab" * 32, "2": "cd" * 32}}
    client = AwsClient("secretsmanager", 10.0, in_secrets_manager.env["AWS_ENDPOINT_URL"]).get()
    client.create_secret(Name=in_secrets_manager.env["KEYRAIL_PEPPER_SECRET"], SecretString=json.dumps(document))
    assert in_secrets_manager.bootstrap()[0]["pepper"] == "kept"
    peppers = in_secrets_manager.services().lookup.peppers()
    assert (peppers.current, peppers.by_version) == (2, {1: b"\xab" * 32, 2: b"\xcd" * 32})


def test_a_key_that_makes_no_macs_is_refused_and_nothing_is_kept_of_it(
    monkeypatch: pytest.MonkeyPatch, aws_endpoint: str
) -> None:
    world = AwsWorld.make(monkeypatch, aws_endpoint, "kms")
    world.env["KEYRAIL_PEPPER_KEY"] = AwsClient("kms", 10.0, aws_endpoint).get().create_key()["KeyMetadata"]["Arn"]
    with pytest.raises(Unavailable) as refused:
        world.bootstrap()
    assert "InvalidKeyUsageException" in refused.value.detail
    assert world.items() == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ("bootstrap", "--identities", "ids"),
        ("doctor", "--identities", "ids"),
        ("identities", "rotate", "."),
        ("migrate", "--to", "dynamodb", "--dry-run"),
    ],
)
def test_what_is_for_vault_alone_says_so(in_secrets_manager: AwsWorld, arguments: tuple[str, ...]) -> None:
    done = in_secrets_manager.keyrail_here(*arguments)
    assert (done.returncode, "is for Vault" in done.stderr) == (2, True)


def test_a_pepper_that_rotate_could_write_is_refused(in_secrets_manager: AwsWorld) -> None:
    prefix = in_secrets_manager.env["KEYRAIL_SECRETS_PREFIX"]
    done = in_secrets_manager.keyrail_here("bootstrap", KEYRAIL_PEPPER_SECRET=f"{prefix}pepper")
    assert (done.returncode, "KEYRAIL_PEPPER_SECRET" in done.stderr) == (2, True)
    assert in_secrets_manager.items() == {}


@pytest.mark.parametrize("store", ["vault", "memory"])
def test_a_pepper_in_aws_goes_with_keys_in_dynamodb_alone(in_secrets_manager: AwsWorld, store: str) -> None:
    done = in_secrets_manager.keyrail_here("doctor", KEYRAIL_STORE=store, VAULT_ADDR=NOWHERE, VAULT_TOKEN="t")
    assert (done.returncode, "KEYRAIL_PEPPER" in done.stderr) == (2, True)
