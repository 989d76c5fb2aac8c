"""A provider's own schema, read out of the wheel that CDK Terrain makes of it: arguments, blocks, types, and which must
be given. Not in it: the values that a provider takes, and lists of objects that it computes.

The wheel describes its classes as jsii does, https://github.com/aws/jsii: an interface for what may be written, a class
for what can be read. Which lists are sets, and what Terraform keeps no copy of, only the code of the classes tells.
"""

import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

_MADE_FROM = re.compile(r"provider version ([\d.]+)")
_ANCHOR = re.compile(r"/docs[^\s#]*#([a-z0-9_]+) ")  # each property's link names it as Terraform does
_WHOLE = re.compile(r"^class (\w+) extends cdktn\.Terraform(?:Resource|DataSource) \{", re.MULTILINE)
_GETTER = re.compile(r"(tolist\()?this\.get(\w*)Attribute\('(\w+)'\)")
_SET_OF_BLOCKS = re.compile(r'^ +(\w+): \{\n.*\n +isBlock: true,\n +type: "set",', re.MULTILINE)
_WRITE_ONLY = re.compile(r"^ +(\w+): \{\n +value: this\.markWriteOnlyAttribute", re.MULTILINE)
_TYPES: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
}
_PRIMITIVES = {"string": "string", "number": "number", "boolean": "bool"}
Body = dict[str, Any]


@dataclass(frozen=True)
class Package:
    """A provider's wheel: the description of its classes (jsii), and their code by the name of its folder."""

    types: dict[str, Any]
    code: dict[str, str]
    version: str

    @classmethod
    def read(cls, wheel: Path) -> "Package":
        with zipfile.ZipFile(wheel) as whole:
            (inner,) = (name for name in whole.namelist() if name.endswith(".jsii.tgz"))
            packed = BytesIO(whole.read(inner))
        with tarfile.open(fileobj=packed) as package:
            texts = {
                member.name.removeprefix("package/"): file.read().decode()
                for member in package
                if member.name.endswith(("/.jsii", "/README.md", "/index.js")) and (file := package.extractfile(member))
            }
        made_from = _MADE_FROM.search(texts["README.md"])
        if made_from is None:
            raise ValueError(f"{wheel.name} does not say which version of the provider it was made from")
        return cls(json.loads(texts[".jsii"])["types"], texts, made_from[1])

    def schema(self, kind: str, name: str) -> Body:
        """Raises: KeyError where there is no such type."""
        said = f'tfResourceType = "{name}";'
        for file, text in self.code.items():
            if said in text and ("/data-" in file) == (kind == "data"):
                for class_name in _WHOLE.findall(text):
                    return self._body(f"{class_name}Config", class_name, text)
        raise KeyError(f"{kind} {name}")

    def _body(self, interface: str, class_name: str, text: str) -> Body:
        """What may be written is in the interface, what can be read besides in the class."""
        body: Body = {"attributes": {}, "blocks": {}}
        for name, told in _properties(self.types[self._whole_name(interface)]):
            nested = self._nested(told["type"])
            if nested is None:
                required = {} if told.get("optional") else {"required": True}
                body["attributes"][name] = {"type": _type(told["type"]), **required}
            else:
                bounds = _bounds(name, told)
                if name in _SET_OF_BLOCKS.findall(text):
                    bounds["nesting"] = "set"
                body["blocks"][name] = {**bounds, **self._body(nested, f"{nested}OutputReference", text)}
        found = re.search(rf"^class {class_name} extends .*?^\}}", text, re.DOTALL | re.MULTILINE)
        code = found[0] if found else ""
        for is_set, kind, name in _GETTER.findall(code):
            read = _TYPES[kind]
            body["attributes"].setdefault(name, {"computed": True})["type"] = ["set", read[1]] if is_set else read
        for name in _WRITE_ONLY.findall(code):
            body["attributes"][name]["write_only"] = True
        if "id" in body["attributes"] and class_name + "Config" == interface:
            body["attributes"]["id"] = {"type": "string", "computed": True}  # of every resource, given by the provider
        return body

    def provider(self) -> Body:
        """What the provider itself may be told."""
        (name,) = (name.rpartition(".")[2] for name in self.types if re.search(r"\.provider\.\w+ProviderConfig$", name))
        body = self._body(name, name.removesuffix("Config"), "")
        kept = {name: told for name, told in body["attributes"].items() if not name.endswith("_custom_endpoint")}
        return {**body, "attributes": kept}

    def _whole_name(self, interface: str) -> str:
        (found,) = (name for name in self.types if name.endswith(f".{interface}"))
        return found

    def _nested(self, told: Body) -> str | None:
        """The interface of a block: what is of one of the package's own types."""
        names = [each["fqn"] for each in _leaves(told) if "fqn" in each]
        return next((name.rpartition(".")[2] for name in names if name in self.types), None)


def _bounds(name: str, told: Body) -> Body:
    if name == "timeouts":
        return {"nesting": "single"}
    most = {"max": 1} if "fqn" in told["type"] else {}
    return {"nesting": "list", "min": 0 if told.get("optional") else 1, **most}


def _properties(interface: Body) -> Iterator[tuple[str, Body]]:
    """By Terraform's name; without what every resource of CDK Terrain has."""
    for told in interface.get("properties", ()):
        docs = told.get("docs", {})
        anchor = _ANCHOR.search(f"{docs.get('summary', '')} {docs.get('remarks', '')}")
        if anchor is not None:
            yield anchor[1], told


def _leaves(told: Body) -> Iterator[Body]:
    if "union" in told:
        for each in told["union"]["types"]:
            yield from _leaves(each)
    elif "collection" in told:
        yield from _leaves(told["collection"]["elementtype"])
    else:
        yield told


def _type(told: Body) -> Any:
    """As Terraform's plugin protocol writes it; one that can't be told is `dynamic`."""
    leaf = next(
        (_PRIMITIVES.get(each["primitive"], "dynamic") for each in _leaves(told) if "primitive" in each), "dynamic"
    )
    for each in told.get("union", {}).get("types", [told]):
        if "collection" in each:
            return ["map" if each["collection"]["kind"] == "map" else "list", leaf]
    return leaf
