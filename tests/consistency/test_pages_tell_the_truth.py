"""What the pages say in numbers and names is what the code has."""

import re
import subprocess
import sys

import pytest
from repository import ROOT, names_in, rows, section, text_of
from scrape import scrape

from keyrail.adapters.cached_lookup import CacheBounds
from keyrail.adapters.vault_breaker import FAULTS_IN_A_ROW, OPEN_SECONDS
from keyrail.adapters.vault_paths import FEED_HEAD, PEPPER, ROLES, index_path, record_path, tombstone_path
from keyrail.adapters.vault_setup import TOKEN_TTL_SECONDS
from keyrail.dev.openapi_examples import KEY_ID, example_key
from keyrail.domain import lifecycle
from keyrail.domain.key_fields import DEFAULT_GRACE_SECONDS
from keyrail.domain.key_format import ANY_KEY, CHECKSUM_CHARS, KEY_ID_CHARS, SECRET_CHARS
from keyrail.domain.roles import BUILT_IN_ROLES
from keyrail.environment import variables
from keyrail.ports import FEED_RING_SIZE
from keyrail.settings import Settings
from keyrail.triggers.probes import PATHS
from keyrail.triggers.strict_json import MAX_BODY_BYTES

_EVENTS = "key|rotation|grace|config|access"
CONCEPTS, OPERATIONS, SETTINGS = "docs/concepts.md", "docs/operations.md", "docs/settings.md"


def settings_table() -> dict[str, str]:
    return {name: row[1] for row in rows(text_of(SETTINGS)) for name in names_in(row[0])}


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    assert set(settings_table()) == set(variables(Settings))


@pytest.mark.parametrize("name", variables(Settings))
def test_a_settings_default_is_documented(name: str) -> None:
    field = variables(Settings)[name]
    told = settings_table()[name].strip("`")
    assert told == (
        "none"
        if field.default is None
        else f"{field.default:g}"
        if isinstance(field.default, float)
        else str(field.default).lower()
        if isinstance(field.default, bool)
        else str(field.default)
    )


@pytest.mark.parametrize(
    "name", [name for name, field in variables(Settings).items() if field.name.endswith("_seconds")]
)
def test_a_setting_in_seconds_says_so(name: str) -> None:
    told = {name: row[2] for row in rows(text_of(SETTINGS)) for name in names_in(row[0])}
    assert "seconds" in told[name]


def test_every_metric_is_documented_with_its_type_and_labels() -> None:
    exposed: dict[str, tuple[str, set[str]]] = {}
    for line in scrape().splitlines():
        if line.startswith("# TYPE keyrail_"):
            _, _, name, kind = line.split()
            exposed[name] = kind, set()
        elif line.startswith("keyrail_"):
            name = re.sub(r"_(bucket|count|sum)?(\{.*)? .*", "", re.match(r"[a-z_]+", line)[0] + " ")  # type: ignore[index]
            owner = next((known for known in exposed if name.startswith(known)), None)
            if owner:
                exposed[owner][1].update(set(re.findall(r'(\w+)="', line)) - {"le"})
    exposed = {name: told for name, told in exposed.items() if not name.endswith("_created")}
    told = {row[0].strip("`"): (row[1], names_in(row[2])) for row in rows(section(OPERATIONS, "Metrics"))}
    assert told == exposed


def test_every_probe_is_documented() -> None:
    told = {name.removeprefix("GET ") for row in rows(section(OPERATIONS, "Probes")) for name in names_in(row[0])}
    assert told == set(PATHS)


def test_every_audit_event_is_documented_and_every_documented_one_is_written() -> None:
    source = "".join(file.read_text() for file in (ROOT / "shared/keyrail").rglob("*.py"))
    told = {name for row in rows(section(OPERATIONS, "Audit events")) for name in names_in(row[0])}
    assert told == set(re.findall(rf'"((?:{_EVENTS})\.[a-z_]+)"', source))
    named = r'(?:audit\.write|announce|_tell|_announce)\(\s*(?:[\w.]+,\s*)?"([a-z_.]+)"'
    assert set(re.findall(named, source)) <= told


def test_every_event_is_told_to_receivers() -> None:
    audited = {name for row in rows(section(OPERATIONS, "Audit events")) for name in names_in(row[0])}
    told = {name for row in rows(section("docs/events.md", "What is told")) for name in names_in(row[0])}
    assert told == {f"keyrail.{name}" for name in audited - {"access.denied"}}


def test_every_kind_of_log_line_is_documented() -> None:
    source = "".join(file.read_text() for file in (ROOT / "shared/keyrail").rglob("*.py"))
    kinds = set(re.findall(r'\blog\(\s*(?:logging\.\w+|level),\s*"(\w+)"', source)) | {"audit", "log"}
    assert {row[0].strip("`") for row in rows(section(OPERATIONS, "Log lines"))} == kinds


def test_the_layout_in_vault_is_as_told() -> None:
    told = [row[0].strip("`") for row in rows(section(CONCEPTS, "The record"))]
    concrete = [
        path.replace("<first 2 of id>", KEY_ID[:2])
        .replace("<first 1 of id>", KEY_ID[:1])
        .replace("<key id>", KEY_ID)
        .replace("<tenant>", "acme")
        for path in told
    ]
    built = [record_path(KEY_ID), tombstone_path(KEY_ID), index_path("acme", KEY_ID), FEED_HEAD, PEPPER, ROLES]
    assert concrete == [str(path) for path in built]


def test_the_built_in_roles_are_as_told() -> None:
    told = {
        row[0]: tuple(re.findall(r"`([^`]+)`", row[1])) for row in rows(section(CONCEPTS, "Scopes, roles and tenants"))
    }
    assert told == BUILT_IN_ROLES


def test_the_parts_of_a_key_are_as_told() -> None:
    told = section(CONCEPTS, "Key format")
    assert f"<key id: {KEY_ID_CHARS} base62 characters>_<secret: {SECRET_CHARS} base62 characters>" in told
    assert f"<checksum: {CHECKSUM_CHARS} base62 characters>" in told
    prefix, environment, *_ = example_key().split("_")
    assert f"{prefix}_{environment}_<key id" in told


def test_the_bounds_of_freshness_are_as_told() -> None:
    bounds, told = CacheBounds(), section(CONCEPTS, "Freshness")
    defaults = {row[2].strip("`"): row[1] for row in rows(told)}
    assert defaults == {
        "KEYRAIL_FEED_POLL_SECONDS": f"{bounds.poll_seconds:g} s",
        "KEYRAIL_MAX_STALE_SECONDS": f"{bounds.max_stale_seconds:g} s",
        "KEYRAIL_CACHE_TTL_SECONDS": f"{bounds.ttl_seconds:g} s",
    }
    assert f"up to {bounds.document_ttl_seconds:g} s" in told
    assert f"the last {FEED_RING_SIZE} changes" in told


def test_the_numbers_of_a_rotation_are_as_told() -> None:
    told = text_of("docs/rotation.md")
    assert f"{lifecycle.MAX_RETIRED_KEPT} kept" in told
    assert "at most 30 days" in told
    assert lifecycle.MAX_GRACE_SECONDS == 30 * 24 * 3600
    assert "a day unless" in told
    assert DEFAULT_GRACE_SECONDS == 24 * 3600


def test_other_numbers_are_as_told() -> None:
    assert f"bodies over {MAX_BODY_BYTES} bytes" in section(CONCEPTS, "Errors")
    assert f"lives for {TOKEN_TTL_SECONDS // 60} minutes" in section(CONCEPTS, "Threat model")
    away = section(OPERATIONS, "When Vault is away")
    assert f"After {FAULTS_IN_A_ROW} failures in a row calls are refused at once for half a second" in away
    assert OPEN_SECONDS == 0.5


def test_secret_scanners_get_the_expression_that_we_use_ourselves() -> None:
    assert f"```\n{ANY_KEY.pattern}\n```" in text_of("SECURITY.md")


@pytest.mark.parametrize(("text", "told"), [(example_key(), "a key"), (example_key()[:-1] + "!", "no key")])
def test_the_offline_check_tells_a_key_from_a_look_alike(text: str, told: str) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", text_of("SECURITY.md"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", script], input=text, capture_output=True, text=True, check=True)
    assert done.stdout == f"{told}\n"
