"""triggers/cli_import_file.py: a whole file is checked before anything is sent, and no mistake repeats a value."""

import csv
import io
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyrail.domain.key_format import imported_key_id
from keyrail.triggers.cli_import_file import COLUMNS, SHOWN_PROBLEMS, Line, read_import_file
from keyrail.triggers.cli_root import CliError

HASH = sha256(b"sk-one").hexdigest()
OWN = {"sha256": HASH, "owner": "ana", "name": "laptop"}
KEY = "sk-" + "hush" * 8


def read(tmp_path: Path, text: str, tenant: str | None = None) -> list[Line]:
    (tmp_path / "keys").write_text(text, encoding="utf-8")
    return read_import_file(tmp_path / "keys", tenant)


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(CliError) as refused:
        read(tmp_path, text)
    assert refused.value.exit_code == 2
    return refused.value.lines[1].split("\n")


def test_csv_and_json_lines_say_the_same(tmp_path: Path) -> None:
    fields = {**OWN, "scopes": ["a:b", "c:d"], "expires_at": "2030-01-31T12:00:00Z", "metadata": {"plan": "pro, x"}}
    cells = {**fields, "scopes": "a:b  c:d", "metadata": json.dumps(fields["metadata"]), "tenant": ""}
    table = io.StringIO()
    writer = csv.DictWriter(table, list(cells))
    writer.writeheader()
    writer.writerow(cells)
    (from_csv,) = read(tmp_path, "\ufeff" + table.getvalue())
    (from_json,) = read(tmp_path, f"\n{json.dumps(fields)}\n\n")
    assert from_csv.body == from_json.body == fields
    assert from_csv.key_id == from_json.key_id == imported_key_id(HASH)
    assert (from_csv.number, from_json.number) == (2, 2)


def test_a_line_without_a_tenant_gets_the_one_that_was_named(tmp_path: Path) -> None:
    text = f"{json.dumps(OWN)}\n{json.dumps(OWN | {'sha256': '0' * 64, 'tenant': 'globex'})}"
    assert [line.body["tenant"] for line in read(tmp_path, text, "acme")] == ["acme", "globex"]


def test_a_key_is_named_by_its_hash_and_in_no_repr(tmp_path: Path) -> None:
    (line,) = read(tmp_path, json.dumps({"key": KEY, "owner": "ana", "name": "laptop"}))
    assert line.key_id == imported_key_id(sha256(KEY.encode()).hexdigest())
    assert "hush" not in repr(line)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"owner": "two words"}, "owner: "),
        ({"sha256": "hush"}, "sha256: "),
        ({"key": KEY}, "give key or sha256"),
        ({"sha256": None}, "give key or sha256"),
        ({"sha256": None, "key": "hush"}, "key: has not the form"),
        ({"sha256": None, "key": "krl_live_0Keyrail0Unit0Id_" + "s" * 38}, "key: has not the form"),
        ({"scopes": "a:b"}, "scopes: "),
        ({"scopes": ["nothing"]}, "scopes.0: "),
        ({"expires_at": "soon"}, "expires_at: "),
        ({"metadata": []}, "metadata: "),
        ({"hush": 1}, "the fields must be some of key, sha256"),
        ({"roles": ["admin"]}, "the fields must be some of key, sha256"),
    ],
)
def test_a_mistake_is_told_by_line_and_field(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    (mistake,) = mistakes(tmp_path, f"{json.dumps(OWN | {'sha256': '0' * 64})}\n{json.dumps(OWN | fields)}")
    assert mistake.startswith("line 2: ")
    assert told in mistake
    assert "hush" not in mistake


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sha256,owner,hush\n", "line 1: the columns must be"),
        ("sha256,sha256\n", "line 1: the columns must be"),
        (f"sha256,owner,name\n{HASH},ana\n", "line 2: has 2 cells, and the head has 3"),
        (f"sha256,owner,name,metadata\n{HASH},ana,laptop,hush\n", "line 2: metadata: is no JSON object"),
        (f'sha256,owner,name\n{HASH},ana,"lap"hush"\n', "line 2: is no CSV"),
        ("{hush", "line 1: the line is not well-formed JSON"),
        (f"{json.dumps(OWN)}\n[1]", "line 2: the line must be a JSON object"),
        ('{"owner": "a", "owner": "hush"}', "line 1: the line names a field twice"),
        (f"{json.dumps(OWN)}\n\n{json.dumps(OWN | {'name': 'hush'})}", "line 3: the same key as in line 1"),
    ],
)
def test_a_malformed_file_is_told_by_line(tmp_path: Path, text: str, told: str) -> None:
    (mistake,) = mistakes(tmp_path, text)
    assert mistake.startswith(told)
    assert "hush" not in mistake


def test_of_many_mistakes_the_first_are_told(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "{}\n" * 100)
    assert len(found) == SHOWN_PROBLEMS + 1
    assert found[-1].startswith("... and ")


def test_a_file_that_is_no_text_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CliError, match="can't be read"):
        read_import_file(tmp_path / "keys", None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.lists(st.dictionaries(st.sampled_from(COLUMNS) | st.text(max_size=5), st.text(max_size=70))).map(
        lambda rows: "\n".join(map(json.dumps, rows))
    )
)
def test_any_text_is_lines_or_mistakes(tmp_path: Path, text: str) -> None:
    try:
        lines = read(tmp_path, text)
    except CliError as error:
        assert error.exit_code == 2  # noqa: PT017  either outcome is fine, any other exception is not
        return
    assert len({line.key_id for line in lines}) == len(lines)
