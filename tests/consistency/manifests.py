"""The manifests in infra/, as kubectl would be given them: by the folders that `kubectl apply -k` takes."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from repository import ROOT

INFRA = ROOT / "infra"
Document = dict[str, Any]
POD_KINDS = {"Deployment", "CronJob", "Service.serving.knative.dev"}


@dataclass(frozen=True)
class Manifest:
    file: Path
    document: Document

    @property
    def kind(self) -> str:
        """With the group where it is not Kubernetes' own: two kinds are called Service."""
        group = self.document["apiVersion"].rpartition("/")[0]
        return self.document["kind"] + (f".{group}" if "." in group and not group.endswith("k8s.io") else "")

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def spec(self) -> Document:
        return dict(self.document.get("spec", {}))

    def __str__(self) -> str:
        return f"{self.file.relative_to(INFRA)}:{self.kind}/{self.name}"


def kustomizations() -> list[Path]:
    return sorted(file.parent for file in INFRA.rglob("kustomization.yaml"))


@cache
def kustomization(folder: Path) -> Document:
    document: Document = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return document


@cache
def manifests() -> tuple[Manifest, ...]:
    """Every document that some kustomization names."""
    return tuple(found for folder in kustomizations() for found in _of(folder))


@cache
def _of(folder: Path) -> tuple[Manifest, ...]:
    return tuple(
        Manifest(folder / name, document)
        for name in kustomization(folder)["resources"]
        if name.endswith(".yaml")
        for document in yaml.safe_load_all((folder / name).read_text())
    )


def closure(folder: Path) -> list[Manifest]:
    """What a folder brings, with the folders it names; patches and images aside."""
    found = list(_of(folder))
    for name in kustomization(folder)["resources"]:
        if not name.endswith(".yaml"):
            found += closure((folder / name).resolve())
    return found


def made_by_generators(folder: Path) -> set[str]:
    """Names of ConfigMaps."""
    told = kustomization(folder)
    own = {each["name"] for each in told.get("configMapGenerator", ())}
    inner = [made_by_generators((folder / name).resolve()) for name in told["resources"] if not name.endswith(".yaml")]
    return own.union(*inner)


def pod_template(manifest: Manifest) -> Document:
    """Of a manifest whose kind is among POD_KINDS."""
    spec = manifest.spec["jobTemplate"]["spec"] if manifest.kind == "CronJob" else manifest.spec
    template: Document = spec["template"]
    return template


def with_pods() -> list[Manifest]:
    return [manifest for manifest in manifests() if manifest.kind in POD_KINDS]


def containers() -> list[tuple[str, Document]]:
    """With a name for the report."""
    found = ((manifest, each) for manifest in with_pods() for each in pod_template(manifest)["spec"]["containers"])
    return [(f"{manifest}/{each['name']}", each) for manifest, each in found]


_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))  # crontab(5)
_ITEM = re.compile(r"(\*|\d+(-\d+)?)(/[1-9]\d*)?")


def is_cron(text: str) -> bool:
    """Five fields of numbers, ranges, lists and steps, each within its bounds."""
    fields = text.split(" ")
    return len(fields) == len(_FIELDS) and all(_is_field(*each) for each in zip(fields, _FIELDS, strict=True))


def _is_field(text: str, bounds: tuple[int, int]) -> bool:
    for item in text.split(","):
        if not _ITEM.fullmatch(item):
            return False
        numbers = [int(number) for number in re.findall(r"\d+", item.partition("/")[0])]
        if numbers != sorted(numbers) or any(not bounds[0] <= number <= bounds[1] for number in numbers):
            return False
    return True
