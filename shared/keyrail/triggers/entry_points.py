"""What `functions/<op>/main.py` exports: one function, for whichever platform runs it."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keyrail.triggers.aws_lambda import lambda_function
from keyrail.triggers.http import http_function
from keyrail.triggers.lambda_snapshot import seed_after_restore
from keyrail.triggers.served import Served

if TYPE_CHECKING:
    import flask
    from werkzeug.wrappers import Response


def entry_points(
    *operations: str,
) -> tuple[Callable[["flask.Request"], "Response"], Callable[[Any, Any], Any]]:
    """`handler` for functions-framework, which takes nothing but a plain function; `lambda_handler` for AWS Lambda,
    where what is imported while an instance starts is not waited for by a caller."""
    served = Served(*operations)
    if "awslambdaric" in sys.modules:
        served.load()
        seed_after_restore()
    return http_function(served), lambda_function(served)
