"""The example's services are what a user would write: of Keyrail they know keyrail.v1, and it knows none of them."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from repository import ROOT, text_of

PIPELINE = ROOT / "examples/pipeline"
SERVICES = [*PIPELINE.glob("*.py"), *PIPELINE.glob("data/*.py"), *PIPELINE.glob("inference/*.py")]
EXTRAS = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]


def imported_by(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return named | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: str(file.relative_to(PIPELINE)))
def test_a_service_imports_the_generated_api_and_nothing_else_of_keyrail(file: Path) -> None:
    found = imported_by(file)
    assert not {name for name in found if name.partition(".")[0] == "keyrail"} - {"keyrail.v1"}
    assert not {name for name in found if name.partition(".")[0] == "stage"}


def test_the_services_are_all_there() -> None:
    assert {file.name for file in SERVICES} == {"keyrail_client.py", "mtls.py", "main.py", "model.py"}


def test_what_the_services_need_is_what_the_extras_have() -> None:
    lines = text_of("examples/pipeline/requirements.txt").splitlines()
    needed = {line.partition(" #")[0] for line in lines if not line.startswith("#")}
    assert set(EXTRAS["example"]) <= needed
    assert needed - {"keyrail[grpc]"} <= {*EXTRAS["example"], *EXTRAS["grpc"]}


def test_what_the_example_needs_is_optional() -> None:
    """Every module of Keyrail is imported where neither numpy nor psycopg is installed."""
    script = """
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numpy", "psycopg", "psycopg_pool", "psycopg_binary"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import keyrail
for module in pkgutil.walk_packages(keyrail.__path__, "keyrail."):
    importlib.import_module(module.name)
print(len(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert int(done.stdout) > 100
