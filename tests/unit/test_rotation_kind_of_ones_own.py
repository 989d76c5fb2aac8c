"""docs/rotation-kinds.md: what it shows runs as it stands, found by an entry point as an installed package has it."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from keyrail.adapters.rotators import InstalledRotators
from keyrail.domain.errors import InvalidArgument, RotatorFailed
from keyrail.rotation_ports import CredentialRotation, CredentialRotator

PAGE = (Path(__file__).parents[2] / "docs/rotation-kinds.md").read_text()
SETTINGS = {"account": "acme_app"}


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The example's file and the metadata of its package lie on the path; its service is one that notes its calls."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (points,) = re.findall(r"```toml\n\[project\.entry-points\.\"(?:.*?)\"\]\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "example_rotator.py").write_text(code)
    package = tmp_path / "example_rotator-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: example-rotator\nVersion: 1.0\n")
    group = "[keyrail.rotators]\n" + points.replace('"', "") + "broken = example_rotator:Nowhere\n"
    (package / "entry_points.txt").write_text(group + "generated = example_rotator:ExampleToken\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    made, service = list[Any](), ModuleType("example_service")
    service.fetch = lambda path, **more: made.append((path, more)) or f"from {path}"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "example_service", service)
    yield made
    sys.modules.pop("example_rotator", None)


def found(kind: str, **built_in: CredentialRotator) -> CredentialRotator:
    rotator = InstalledRotators(built_in).find(kind)
    assert rotator is not None
    return rotator


def test_the_example_rotates(calls: list[Any]) -> None:
    rotator = found("example-token")
    asked = CredentialRotation(rotation_id="r1", tenant="acme", name="x", value={"url": "u"}, settings=SETTINGS)
    assert rotator.has_effects
    assert rotator.mark(asked) == "from /accounts/acme_app/newest-token-id"
    assert rotator.rotate(asked) == {"url": "u", "token": "from /accounts/acme_app/tokens"}
    assert calls[-1] == ("/accounts/acme_app/tokens", {"request_id": "r1"})
    assert rotator.live({"token": "t"}, SETTINGS) == {"token": "t"}


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("settings", "is_system", "is_accepted"),
    [
        (SETTINGS, False, True),
        ({"account": "other_app"}, False, False),
        ({"account": "other_app"}, True, True),
        ({}, True, False),
    ],
)
def test_the_example_lets_a_tenant_name_its_own_accounts(
    settings: dict[str, Any], is_system: bool, is_accepted: bool
) -> None:
    rotator = found("example-token")
    if is_accepted:
        assert rotator.checked(settings, "acme", is_system=is_system) == settings
    else:
        with pytest.raises(InvalidArgument):
            rotator.checked(settings, "acme", is_system=is_system)


@pytest.mark.usefixtures("calls")
def test_a_kind_is_made_once() -> None:
    rotators = InstalledRotators({})
    assert rotators.find("example-token") is rotators.find("example-token")


@pytest.mark.usefixtures("calls")
def test_a_built_in_kind_can_not_be_replaced() -> None:
    own = found("example-token")
    assert found("generated", generated=own) is own


@pytest.mark.usefixtures("calls")
def test_one_that_can_not_be_loaded_says_so_and_stops_no_other() -> None:
    rotators = InstalledRotators({})
    with pytest.raises(RotatorFailed):
        rotators.find("broken")
    assert rotators.find("example-token") is not None
    assert rotators.find("unheard-of") is None
