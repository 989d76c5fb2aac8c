"""The life of a key with its record in DynamoDB: bootstrapped, and through real function processes whose identities in
Vault are those of every deployment."""

import time
from collections.abc import Iterator

import pytest
from canary import Canary
from deployed import Deployment

from counted_table import CountedTable, new_table
from keyrail.adapters.dynamodb_keys import DynamoKeyStore
from keyrail.dev.aws import CREDENTIALS
from keyrail.dev.openbao import OpenBao
from keyrail.triggers.cli_bootstrap import admin_settings

NEEDED = ("issue_key", "validate_key", "rotate", "revoke_key", "update_key", "get_key", "list_keys")


@pytest.fixture
def deployed(
    openbao: OpenBao,
    canary: Canary,
    aws_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Deployment, CountedTable]]:
    on_aws = {**CREDENTIALS, "AWS_ENDPOINT_URL_DYNAMODB": aws_endpoint}
    for name, value in on_aws.items():
        monkeypatch.setenv(name, value)
    table = new_table(aws_endpoint)
    settings = {"KEYRAIL_STORE": "dynamodb", "KEYRAIL_DYNAMODB_TABLE": table.name}
    made = Deployment(openbao, tmp_path_factory.mktemp("on-dynamodb"), canary, **on_aws, **settings)
    try:
        made.start(*NEEDED)
        yield made, table
    finally:
        made.stop()


def test_a_key_lives_and_dies_and_vault_holds_nothing_of_it(deployed: tuple[Deployment, CountedTable]) -> None:
    deployment, table = deployed
    api, keys = deployment.api, DynamoKeyStore(table)
    first = api.issue()
    assert api.code_of(first.text) == "VALID"
    assert keys.list_all_ids(None, 10).key_ids == tuple(sorted((deployment.admin_key_id, first.key_id)))
    api.update(first.key_id, name="another").ok()
    second = api.rotate(first.key_id).ok()["key"]
    assert (api.code_of(first.text), api.code_of(second)) == ("VALID", "VALID")
    assert [each["key_id"] for each in api.list_page().ok()["keys"]] == [first.key_id]
    api.revoke(first.key_id).ok()
    time.sleep(1.5)  # the feed is read once a second
    assert (api.code_of(first.text), api.code_of(second)) == ("REVOKED", "REVOKED")
    assert api.get(first.key_id).ok()["state"] == "revoked"
    kinds = {path.split("/")[0] for path in deployment.paths()}
    assert not kinds & {"keys", "revoked", "tenants", "due"}
    items = str(table.client().scan(TableName=table.name)["Items"])
    deployment.canary.search("DynamoDB", items)


@pytest.mark.parametrize(("chosen", "meant"), [("memory", "vault"), ("dynamodb", "dynamodb"), ("", "vault")])
def test_an_administrator_works_on_the_store_of_the_functions(
    monkeypatch: pytest.MonkeyPatch, chosen: str, meant: str
) -> None:
    monkeypatch.setenv("KEYRAIL_STORE", chosen)
    monkeypatch.setenv("VAULT_TOKEN", "t")
    assert admin_settings(None).store == meant
