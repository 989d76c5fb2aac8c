"""docs/cli.md has every command, and no other."""

from collections.abc import Iterator

import click
from repository import names_in, rows, section

from keyrail.triggers.cli_root import root

PAGE = "docs/cli.md"


def commands(group: click.Group, path: str) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert command.help, name
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def test_the_page_lists_every_command_and_no_other() -> None:
    assert isinstance(root, click.Group)
    told = [name for row in rows(section(PAGE, "Commands")) for name in names_in(row[0])]
    assert sorted(told) == sorted(commands(root, "keyrail"))
