"""Configs over HTTP: what is written is read, nothing is lost by overwriting, and nobody reads what isn't theirs."""

import sys
from typing import Any

import pytest
from configs import Configs, code_of
from deployment import NOW, Deployment

VALUE = {"url": "https://api.example.com", "password": "first", "nothing": None, "list": [None, 1.5, True]}


@pytest.fixture
def configs(deployment: Deployment) -> Configs:
    return Configs(deployment)


@pytest.mark.parametrize("value", [VALUE, {}, [], "text", "", 0, 1.5, True, None, [None]])
def test_any_json_is_read_as_it_was_written(configs: Configs, value: Any) -> None:
    configs.written("models/openai", value=value)
    assert configs.read("models/openai")["value"] == value


def test_a_reply_names_version_etag_and_writer(configs: Configs) -> None:
    made = configs.put("models/openai", value=VALUE)
    assert made.headers["ETag"] == made.json["etag"] == '"1"'
    assert "value" not in made.json
    read = configs.get("models/openai")
    assert read.headers["ETag"] == '"1"'
    assert read.headers["Cache-Control"] == "no-store"
    assert (read.json["tenant"], read.json["name"], read.json["version"]) == ("acme", "models/openai", 1)
    assert read.json["written_at"] == made.json["written_at"] >= NOW.isoformat().replace("+00:00", "Z")
    assert len(read.json["written_by"]) == 16


@pytest.mark.parametrize("name", ["a", "Models/GPT-4_x", "a/b/c/d/e/f", "x" * 64, "0/" * 5 + "0"])
def test_names_have_up_to_six_segments(configs: Configs, name: str) -> None:
    configs.written(name, value=1)
    assert configs.value(name) == 1


@pytest.mark.parametrize(
    "name",
    [
        "a//b",
        "/a",
        "a/",
        "a/b/c/d/e/f/g",
        "x" * 65,
        "a.b",
        "-a",
        "a/../b",
        "a b",
        "é",
        "a/" + "x" * 64 + "/" + "y" * 60,
    ],
)
def test_other_names_are_refused(configs: Configs, name: str) -> None:
    assert code_of(configs.put(name, value=1)) == (422, "INVALID_FIELD")
    assert code_of(configs.get(name)) == (422, "INVALID_FIELD")


def test_a_bare_url_takes_the_name_as_a_field(configs: Configs) -> None:
    body = {"tenant": "acme", "name": "models/x", "value": 1}
    call = configs.deployment.call
    assert call("write_config", body, path="/", method="POST").status_code == 200
    assert call("read_config", path="/", query={"tenant": "acme", "name": "models/x"}).json["value"] == 1


# -- no lost update --------------------------------------------------------------------------------------------------


def test_overwriting_takes_the_version_that_was_read(configs: Configs) -> None:
    configs.written("db", value="first")
    refused = configs.put("db", value="second")
    assert code_of(refused) == (409, "CONFIG_EXISTS")
    assert "If-Match" in refused.json["detail"]
    assert configs.written("db", value="second", if_match=1)["version"] == 2
    assert code_of(configs.put("db", value="third", if_match=1)) == (412, "ETAG_MISMATCH")
    assert configs.value("db") == "second"
    assert configs.written("db", value="third", if_match="*")["version"] == 3


def test_if_match_never_makes_a_new_one(configs: Configs) -> None:
    assert code_of(configs.put("db", value=1, if_match=1)) == (412, "ETAG_MISMATCH")
    assert code_of(configs.put("db", value=1, if_match="*")) == (412, "ETAG_MISMATCH")
    assert code_of(configs.get("db")) == (404, "CONFIG_NOT_FOUND")


def test_of_two_writers_at_the_same_moment_one_is_refused(configs: Configs, monkeypatch: pytest.MonkeyPatch) -> None:
    configs.written("db", value="first")
    store: Any = configs.deployment.services.configs
    find = store.find

    def found_and_then_overtaken(tenant: str, name: str) -> Any:
        found = find(tenant, name)
        store.write(tenant, name, found.document, found.version)
        return found

    monkeypatch.setattr(store, "find", found_and_then_overtaken)
    assert code_of(configs.put("db", value="second", if_match=1)) == (412, "ETAG_MISMATCH")


# -- versions --------------------------------------------------------------------------------------------------------


def test_old_versions_are_read_and_told_without_values(configs: Configs) -> None:
    writer = configs.key("config:write")
    configs.written("db", value="first")
    configs.written("db", value="second", if_match=1, by=writer)
    assert configs.read("db", version=1)["value"] == "first"
    assert configs.read("db", version=1)["etag"] == '"1"'
    told = configs.get("db", history="true")
    assert "first" not in told.text
    assert "value" not in told.json
    assert [(each["version"], each["how"], each["state"]) for each in told.json["versions"]] == [
        (2, "written", "live"),
        (1, "written", "live"),
    ]
    assert told.json["versions"][0]["written_by"] != told.json["versions"][1]["written_by"]


def test_twenty_versions_are_kept(configs: Configs) -> None:
    configs.written("db", value=0)
    for n in range(1, 25):
        configs.written("db", value=n, if_match="*")
    assert [each["version"] for each in configs.read("db", history="true")["versions"]] == list(range(25, 5, -1))
    assert configs.value("db", version=6) == 5
    assert code_of(configs.get("db", version=5)) == (404, "CONFIG_NOT_FOUND")


def test_restoring_makes_the_value_of_then_the_newest(configs: Configs) -> None:
    configs.written("db", value="first", schema={"type": "string"})
    configs.written("db", value="second", if_match=1)
    assert code_of(configs.put("db", restore_version=1)) == (409, "CONFIG_EXISTS")
    assert configs.written("db", restore_version=1, if_match=2)["version"] == 3
    read = configs.read("db")
    assert (read["value"], read["version"], read["schema"]) == ("first", 3, {"type": "string"})
    assert configs.read("db", history="true")["versions"][0]["how"] == "restored"
    assert code_of(configs.put("db", restore_version=9, if_match=3)) == (404, "CONFIG_NOT_FOUND")
    assert code_of(configs.put("other", restore_version=1)) == (404, "CONFIG_NOT_FOUND")


def test_a_destroyed_version_can_be_neither_read_nor_restored(configs: Configs) -> None:
    configs.written("db", value="first")
    configs.written("db", value="second", if_match=1)
    assert configs.written("db", destroy_versions=[1])["destroyed_versions"] == [1]
    assert code_of(configs.get("db", version=1)) == (404, "CONFIG_NOT_FOUND")
    assert code_of(configs.put("db", restore_version=1, if_match=2)) == (404, "CONFIG_NOT_FOUND")
    assert configs.value("db") == "second"
    assert [each["state"] for each in configs.read("db", history="true")["versions"]] == ["live", "destroyed"]
    assert code_of(configs.put("db", destroy_versions=[2])) == (422, "NEWEST_VERSION")


def test_a_config_destroyed_as_a_whole_is_unknown_and_its_versions_count_on(configs: Configs) -> None:
    configs.written("db", value="first")
    configs.written("db", value="second", if_match=1)
    reply = configs.put("db", destroy_versions="all")
    assert (reply.status_code, reply.json["destroyed_versions"]) == (200, [1, 2])
    assert "version" not in reply.json
    assert "ETag" not in reply.headers
    for version in (1, 2, 3):
        assert code_of(configs.get("db", version=version)) == (404, "CONFIG_NOT_FOUND")
    assert code_of(configs.get("db")) == (404, "CONFIG_NOT_FOUND")
    assert code_of(configs.get("db", history="true")) == (404, "CONFIG_NOT_FOUND")
    assert code_of(configs.put("db", value="x", if_match=2)) == (412, "ETAG_MISMATCH")
    assert configs.written("db", value="anew")["version"] == 4
    assert [each["version"] for each in configs.read("db", history="true")["versions"]] == [4]


def test_what_never_was_can_not_be_destroyed(configs: Configs) -> None:
    assert code_of(configs.put("db", destroy_versions="all")) == (404, "CONFIG_NOT_FOUND")
    assert code_of(configs.put("db", destroy_versions=[1])) == (404, "CONFIG_NOT_FOUND")


# -- rights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "name", "may"),
    [
        ("config:read", "models/x", True),
        ("config:read:models/*", "models/x", True),
        ("config:read:models/x", "models/x", True),
        ("config:read:Models/GPT-4", "Models/GPT-4", True),
        ("config:read:Models/*", "Models/GPT-4/key", True),
        ("config:read:models/*", "models", False),
        ("config:read:models/*", "Models/x", False),
        ("config:read:models/x", "models/xy", False),
        ("config:write", "models/x", False),
        ("keys:*", "models/x", False),
    ],
)
def test_reading_takes_a_scope_for_that_name(configs: Configs, scope: str, name: str, may: bool) -> None:
    configs.written(name, value=1)
    reply = configs.get(name, by=configs.key(scope))
    assert reply.status_code == 200 if may else code_of(reply) == (403, "INSUFFICIENT_SCOPE")


def test_the_longest_name_has_a_scope_of_its_own(configs: Configs) -> None:
    name = "/".join(["x" * 55, "y" * 56])
    assert len(name) == 112
    key = configs.key(f"config:destroy:{name}", f"config:write:{name}", f"config:read:{name}")
    configs.written(name, value=1, by=key)
    assert configs.value(name, by=key) == 1
    configs.written(name, destroy_versions="all", by=key)


def test_writing_and_destroying_take_scopes_of_their_own(configs: Configs) -> None:
    reader, writer, both = (
        configs.key("config:read"),
        configs.key("config:write:db"),
        configs.key("config:write", "config:destroy:db"),
    )
    assert code_of(configs.put("db", value=1, by=reader)) == (403, "INSUFFICIENT_SCOPE")
    configs.written("db", value=1, by=writer)
    assert code_of(configs.put("other", value=1, by=writer)) == (403, "INSUFFICIENT_SCOPE")
    assert code_of(configs.put("db", destroy_versions="all", by=writer)) == (403, "INSUFFICIENT_SCOPE")
    assert configs.value("db", by=reader) == 1
    configs.written("db", destroy_versions="all", by=both)


def test_another_tenants_config_is_unknown(configs: Configs, output: Any) -> None:
    configs.written("db", value="of acme")
    foreign = configs.key("config:*", tenant="other")
    there, nowhere = configs.get("db", by=foreign).json, configs.get("xx", by=foreign).json
    assert there | {"correlation_id": ""} == nowhere | {
        "correlation_id": "",
        "detail": nowhere["detail"].replace("xx", "db"),
    }
    assert code_of(configs.get("db", by=foreign)) == (404, "CONFIG_NOT_FOUND")
    denied = [line for line in output.lines("audit") if line["event"] == "access.denied"]
    assert [line["operation"] for line in denied] == ["read_config"] * 3
    assert code_of(configs.put("db", value=1, if_match="*", by=foreign)) == (403, "OTHER_TENANT")
    assert code_of(configs.put("db", destroy_versions="all", by=foreign)) == (403, "OTHER_TENANT")
    own = Configs(configs.deployment, "other")
    own.written("db", value="of other", by=foreign)
    assert (own.value("db"), configs.value("db")) == ("of other", "of acme")


def test_without_a_tenant_it_is_the_callers_own(configs: Configs) -> None:
    key = configs.key("config:*", tenant="other")
    call = configs.deployment.call
    assert call("write_config", {"value": 1}, path="/v1/config/db", by=key).json["tenant"] == "other"
    assert call("read_config", path="/v1/config/db", by=key).json["tenant"] == "other"


# -- requests that can't be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"value": 1, "restore_version": 1},
        {"value": 1, "destroy_versions": [1]},
        {"restore_version": 1, "destroy_versions": "all"},
        {"restore_version": None},
        {"restore_version": 0},
        {"restore_version": "1"},
        {"destroy_versions": []},
        {"destroy_versions": "some"},
        {"destroy_versions": [0]},
        {"restore_version": 1, "schema": {}},
        {"restore_version": 1, "rotation": None},
        {"value": 1, "schema": []},
        {"value": 1, "schema": {"description": "x" * 16_384}},
        {"value": 1, "more": 2},
    ],
)
def test_a_write_is_exactly_one_of_three(configs: Configs, body: dict[str, Any]) -> None:
    assert code_of(configs.put("db", **body)) == (422, "INVALID_FIELD")
    assert code_of(configs.get("db")) == (404, "CONFIG_NOT_FOUND")


@pytest.mark.parametrize(
    "query",
    [{"version": "x"}, {"version": "0"}, {"version": "01"}, {"history": "yes"}, {"history": "true", "version": "1"}],
)
def test_a_read_that_can_not_be(configs: Configs, query: dict[str, str]) -> None:
    assert code_of(configs.get("db", **query)) == (422, "INVALID_FIELD")


def test_a_value_of_64_kib_fits_but_for_what_names_it(configs: Configs) -> None:
    configs.written("db", value="x" * 65_400)
    assert len(configs.value("db")) == 65_400
    assert code_of(configs.put("big", value="x" * 65_536)) == (413, "BODY_TOO_LARGE")


# -- schemas ---------------------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {"password": {"type": "string", "minLength": 8, "pattern": "^[a-z-]+$"}, "port": {"type": "integer"}},
    "required": ["password"],
    "additionalProperties": False,
}
GOOD = {"password": "correct-horse", "port": 5432}


def test_a_value_keeps_to_its_schema_from_then_on(configs: Configs) -> None:
    configs.written("db", value=GOOD, schema=SCHEMA)
    refused = configs.put("db", value={"password": "hunter2", "port": "hunter3", "hunter4": 1}, if_match=1)
    assert code_of(refused) == (422, "INVALID_VALUE")
    assert {(each["field"], each["problem"].removeprefix("breaks the rule ")) for each in refused.json["errors"]} == {
        ("value.password", "minLength"),
        ("value.password", "pattern"),
        ("value.port", "type"),
        ("value", "additionalProperties"),
    }
    assert "hunter" not in refused.text
    configs.written("db", value="no object", schema=None, if_match=1)
    assert "schema" not in configs.read("db")
    assert code_of(configs.put("db", value=1, schema={"type": "string"}, if_match=2)) == (422, "INVALID_VALUE")


def test_a_restored_value_must_keep_to_the_schema_of_now(configs: Configs) -> None:
    configs.written("db", value=1)
    configs.written("db", value="x", schema={"type": "string"}, if_match=1)
    assert code_of(configs.put("db", restore_version=1, if_match=2)) == (422, "INVALID_VALUE")


def test_a_name_that_the_schema_does_not_have_is_not_told(configs: Configs) -> None:
    schema = {"additionalProperties": {"type": "string"}}
    refused = configs.put("db", value={"hunter2": 1}, schema=schema)
    assert refused.json["errors"] == [{"field": "value.(name)", "problem": "breaks the rule type"}]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strnig"},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"$ref": "https://example.com/schema.json"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"$id": "https://example.com/schema.json"},
        {"$ref": "#/$defs/none"},
        {"$ref": "#"},
        {"pattern": "(?=a)b"},
        {"pattern": "("},
        {"patternProperties": {"^(a+)+$": True}},
    ],
)
def test_a_schema_that_can_not_be_or_leads_elsewhere(configs: Configs, schema: dict[str, Any]) -> None:
    assert code_of(configs.put("db", value="x", schema=schema)) == (422, "BAD_SCHEMA")


def test_without_the_package_a_schema_is_refused_and_the_rest_works(
    configs: Configs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    assert code_of(configs.put("db", value="x", schema={})) == (422, "SCHEMA_UNSUPPORTED")
    configs.written("db", value="x")
    assert configs.value("db") == "x"
