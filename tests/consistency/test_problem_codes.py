"""Every problem code that the code raises has a status, stands in the operation that raises it, and in the docs."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grimp
import pytest
from repository import NAMES, ROOT, names_in, rows, section

from keyrail.domain import errors
from keyrail.domain.decisions import Code
from keyrail.domain.errors import KeyrailError
from keyrail.operations.catalogue import CATALOGUE
from keyrail.operations.operation import Operation
from keyrail.triggers.problems import COMMON_CODES, MESSAGE_CODES, OPERATION_CODES, STATUS_OF_KIND, TITLES

ENTRANCES = ("keyrail.triggers.entry_points", "keyrail.operations.catalogue")
STATUSES = {**MESSAGE_CODES, **COMMON_CODES, **OPERATION_CODES}
CLASSES = {
    name: each for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, KeyrailError)
}
CAUGHT = {("rotate_due", "CONCURRENT_CHANGE")}  # another tick was first: counted as skipped
OUT_OF_REACH = {"MalformedKey"}  # raised by the key's parser and always turned into a decision


def sources() -> list[Path]:
    """The modules that a function can ever load: not those of the command line."""
    graph = grimp.build_graph("keyrail", cache_dir=None)
    loaded = {*ENTRANCES} | {module for entrance in ENTRANCES for module in graph.find_upstream_modules(entrance)}
    files = [ROOT / "shared" / module.replace(".", "/") for module in sorted(loaded)]
    return [file / "__init__.py" if file.is_dir() else file.with_suffix(".py") for file in files]


class Raised(NamedTuple):
    kind: str
    code: str
    file: Path


def raised() -> Iterator[Raised]:
    """Every error of ours that is made with a code that can be read off the source."""
    for file in sources():
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in CLASSES:
                made = CLASSES[call.func.id]
                given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
                code = _read_off(given[0]) if given else made.code
                if code is not None and call.func.id not in OUT_OF_REACH:
                    yield Raised(made.kind, code, file)


def _read_off(value: ast.expr) -> str | None:
    match value:
        case ast.Constant(value=str(code)):
            return code
        case ast.Attribute(value=ast.Name(id="Code"), attr=name):
            return str(Code[name])
    return None  # a decision's own code: see the test of those


RAISED = list(raised())


def test_the_source_is_really_read() -> None:
    assert {"ESCALATION", "KEY_IN_URL", "UNAVAILABLE", "INTERNAL", "MISSING"} <= {each.code for each in RAISED}


@pytest.mark.parametrize("each", RAISED, ids=lambda each: f"{each.file.stem}-{each.code}")
def test_a_raised_code_has_the_status_of_its_kind(each: Raised) -> None:
    assert each.code in STATUSES
    assert each.code in MESSAGE_CODES or STATUSES[each.code] == STATUS_OF_KIND[each.kind]


def test_every_code_that_has_a_status_is_raised_somewhere() -> None:
    decisions = {str(code) for code in Code}
    assert set(STATUSES) - decisions <= {each.code for each in RAISED} | {"INVALID_ARGUMENT"}


def test_the_tables_of_codes_do_not_overlap() -> None:
    assert len(STATUSES) == len(MESSAGE_CODES) + len(COMMON_CODES) + len(OPERATION_CODES)


def test_every_decision_about_the_callers_own_key_has_a_status() -> None:
    """QUOTA_EXCEEDED of a caller's own key is told as RATE_LIMITED; VALID is no problem."""
    assert {str(code) for code in Code} - {"VALID", "QUOTA_EXCEEDED"} <= set(COMMON_CODES)


def test_every_status_has_a_title() -> None:
    assert set(STATUSES.values()) <= set(TITLES)
    assert set(STATUS_OF_KIND.values()) <= set(TITLES)


@pytest.mark.parametrize("operation", CATALOGUE, ids=NAMES)
def test_an_operation_names_the_codes_that_its_own_file_raises(operation: Operation) -> None:
    own = {each.code for each in RAISED if each.file.stem == operation.name and each.code in OPERATION_CODES}
    own -= {code for name, code in CAUGHT if name == operation.name}
    assert own <= set(operation.codes) <= set(OPERATION_CODES)


def test_the_concepts_page_lists_every_code_with_its_status() -> None:
    told = {
        code: int(status) for status, codes in rows(section("docs/concepts.md", "Errors")) for code in names_in(codes)
    }
    assert told == STATUSES


def test_the_concepts_page_lists_every_decision_in_the_order_of_checks() -> None:
    table = rows(section("docs/concepts.md", "Validation"))
    assert {row[0] for row in table} == {str(code) for code in Code}
    assert [int(row[2]) for row in table if row[0] not in ("VALID", "QUOTA_EXCEEDED")] == [
        COMMON_CODES[row[0]] for row in table if row[0] not in ("VALID", "QUOTA_EXCEEDED")
    ]
