"""How a provider's schema is read out of its wheel: each thing that Terraform's protocol tells apart, once."""

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from keyrail.dev.terraform_package import Package

CODE = """
class BoxLidOutputReference extends cdktn.ComplexObject {
    get colour() {
        return this.getStringAttribute('colour');
    }
    get weight() {
        return this.getNumberAttribute('weight');
    }
}
class Box extends cdktn.TerraformResource {
    static tfResourceType = "acme_box";
    get name() {
        return this.getStringAttribute('name');
    }
    get tags() {
        return cdktn.Fn.tolist(this.getListAttribute('tags'));
    }
    get etag() {
        return this.getStringAttribute('etag');
    }
    synthesizeHclAttributes() {
        const attrs = {
            secret_wo: {
                value: this.markWriteOnlyAttribute(cdktn.stringToHclTerraform(this._secretWo)),
            },
            sides: {
                value: cdktn.listMapperHcl(boxSidesToHclTerraform, true)(this._sides),
                isBlock: true,
                type: "set",
            },
        };
    }
}
"""
TEXT = {"primitive": "string"}


def named(name: str, kind: dict[str, Any], *, optional: bool = True) -> dict[str, Any]:
    remarks = f"{{@link https://registry.terraform.io/providers/acme/acme/1.2.3/docs/resources/box#{name} Box#{name}}}"
    return {"type": kind, "docs": {"remarks": remarks}, **({"optional": True} if optional else {})}


def many(kind: dict[str, Any], of: str = "array") -> dict[str, Any]:
    return {"collection": {"elementtype": kind, "kind": of}}


TYPES = {
    "acme.provider.AcmeProviderConfig": {
        "properties": [named("region", TEXT), named("box_custom_endpoint", TEXT), {"name": "alias", "type": TEXT}]
    },
    "acme.box.BoxConfig": {
        "properties": [
            named("name", TEXT, optional=False),
            named("labels", many(TEXT, "map")),
            named("tags", many(TEXT)),
            named("open", {"union": {"types": [{"primitive": "boolean"}, {"fqn": "cdktn.IResolvable"}]}}),
            named("secret_wo", TEXT),
            named("lid", {"fqn": "acme.box.BoxLid"}, optional=False),
            named("sides", {"union": {"types": [{"fqn": "cdktn.IResolvable"}, many({"fqn": "acme.box.BoxSides"})]}}),
            named("timeouts", {"fqn": "acme.box.BoxTimeouts"}),
        ]
    },
    "acme.box.BoxLid": {"properties": [named("colour", TEXT)]},
    "acme.box.BoxSides": {"properties": [named("length", {"primitive": "number"}, optional=False)]},
    "acme.box.BoxTimeouts": {"properties": [named("create", TEXT)]},
}


def wheel(folder: Path, readme: str = "bindings for acme provider version 1.2.3\n") -> Path:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as package:
        for name, text in ((".jsii", json.dumps({"types": TYPES})), ("README.md", readme), ("lib/box/index.js", CODE)):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text.encode())
            package.addfile(member, io.BytesIO(text.encode()))
    made = folder / "acme.whl"
    with zipfile.ZipFile(made, "w") as whole:
        whole.writestr("acme/_jsii/provider-acme@1.jsii.tgz", packed.getvalue())
    return made


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package.read(wheel(tmp_path))


def test_the_version_is_that_of_the_provider(package: Package) -> None:
    assert package.version == "1.2.3"


def test_a_wheel_that_names_no_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which version"):
        Package.read(wheel(tmp_path, "bindings\n"))


def test_arguments_have_type_and_need(package: Package) -> None:
    assert package.schema("resource", "acme_box")["attributes"] == {
        "name": {"type": "string", "required": True},
        "labels": {"type": ["map", "string"]},
        "tags": {"type": ["set", "string"]},
        "open": {"type": "bool"},
        "secret_wo": {"type": "string", "write_only": True},
        "etag": {"type": "string", "computed": True},
    }


def test_blocks_have_bounds_and_what_is_computed_in_them(package: Package) -> None:
    blocks = package.schema("resource", "acme_box")["blocks"]
    colour, weight = {"type": "string"}, {"type": "number", "computed": True}
    inside = {"attributes": {"colour": colour, "weight": weight}, "blocks": {}}
    assert blocks["lid"] == {"nesting": "list", "min": 1, "max": 1, **inside}
    assert blocks["sides"]["nesting"] == "set"
    assert blocks["sides"]["min"] == 0
    assert "max" not in blocks["sides"]
    assert blocks["timeouts"]["nesting"] == "single"


def test_a_type_that_is_not_there_is_no_resource_and_one_of_resources_is_no_data(package: Package) -> None:
    for kind, name in (("resource", "acme_bag"), ("data", "acme_box")):
        with pytest.raises(KeyError):
            package.schema(kind, name)


def test_a_provider_is_told_what_it_may_be_told(package: Package) -> None:
    assert package.provider()["attributes"] == {"region": {"type": "string"}}
