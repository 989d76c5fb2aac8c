"""`keyrail`: the command line. click comes with the extra `cli`; nothing else of Keyrail needs it."""

import sys


def main() -> None:
    """Exit codes: 0 done, 1 refused or not valid, 2 wrong usage, 3 not available: try again."""
    try:
        import click  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("keyrail: the command line needs click: pip install 'keyrail[cli]'")
    from keyrail.triggers.cli_root import run

    run(sys.argv[1:])
