"""The modules of Keyrail that one function can ever import, found by following every import, lazy ones too."""

import shutil
from functools import cache
from pathlib import Path

import grimp

_ENTRANCE = "keyrail.triggers.entry_points"


def stage(source: Path, main: Path, operations: list[str], folder: Path) -> None:
    """Copies main.py and those modules into `folder`, which is made."""
    folder.mkdir(parents=True)
    shutil.copyfile(main, folder / "main.py")
    for module in sorted(modules_of(operations)):
        path = source / module.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def modules_of(operations: list[str]) -> set[str]:
    """`operations` are imported by name, which no graph sees."""
    entrances = [_ENTRANCE, *(f"keyrail.operations.{name}" for name in operations)]
    found = {module for entrance in entrances for module in (entrance, *_graph().find_upstream_modules(entrance))}
    packages = {module.rpartition(".")[0] for module in found}
    return found | (packages - {""}) | {"keyrail"}


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("keyrail", exclude_type_checking_imports=True, cache_dir=None)
