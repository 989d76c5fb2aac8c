"""What one function serves, behind whatever calls it: functions-framework, Lambda, a test.

Nothing connects before the first call: gunicorn forks after import, Lambda freezes. Nothing heavy is imported before
`load` or the first call either, since the operations and what they stand on start as long as Flask.
"""

import logging
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from keyrail.domain.errors import Internal, KeyrailError
from keyrail.telemetry import choose_correlation_id, correlation_id, log
from keyrail.triggers.http_messages import HttpReply, HttpRequest
from keyrail.triggers.problems import problem_reply

if TYPE_CHECKING:
    from keyrail.operations.operation import Operation, Route
    from keyrail.ports import Services
    from keyrail.triggers.dispatch import Call, Outcome
    from keyrail.triggers.http_exchange import HttpRoute


class Served:
    """One function may offer several operations; at a bare URL it is the first one, or the one that takes events."""

    def __init__(self, *operations: str, services: "Callable[[], Services] | None" = None) -> None:
        self.names = operations
        self._services = services

    @cached_property
    def operations(self) -> "list[Operation]":
        return [import_module(f"keyrail.operations.{name}").OPERATION for name in self.names]

    @cached_property
    def _http_functions(self) -> "list[HttpRoute]":
        if self.names == ("validate_key",):
            from keyrail.triggers.forward_auth import ForwardAuth
            from keyrail.triggers.http_validate import HttpValidation

            return [HttpValidation(), ForwardAuth()]
        from keyrail.triggers.http_function import HttpFunction

        return [HttpFunction(operation) for operation in self.operations]

    def load(self) -> None:
        """Imports what the first call would, so that it need not wait for it."""
        import keyrail.bootstrap

        _ = keyrail.bootstrap, self._http_functions

    def services(self) -> "Services":
        """Raises: Internal on wrong settings."""
        from keyrail.bootstrap import process_services

        return (self._services or process_services)()

    def answer(self, request: HttpRequest) -> HttpReply:
        """Never raises."""
        try:
            from keyrail.triggers.http_exchange import chosen_function

            return chosen_function(self._http_functions, request).answer(request, self.services())
        except Exception as error:  # noqa: BLE001 - before dispatch, which lets nothing out; logged there
            return self.unserved(request.header, error)

    def unserved(self, header: Callable[[str], str | None], error: Exception) -> HttpReply:
        """What is told of an error before dispatch: wrong settings, an event that is none, or a defect."""
        chosen = choose_correlation_id(header("traceparent"), header("x-correlation-id"))
        return problem_reply(self._logged(error, chosen), chosen, {})

    def outcome(self, operation: "Route", call: "Call") -> "Outcome":
        """Of a call that did not come over HTTP. Never raises."""
        from keyrail.triggers.dispatch import Outcome, dispatch

        try:
            return dispatch(operation, call, self.services())
        except Exception as error:  # noqa: BLE001 - as above
            return Outcome(error=self._logged(error, call.correlation_id))

    def _logged(self, error: Exception, chosen: str) -> KeyrailError:
        token = correlation_id.set(chosen)
        if not isinstance(error, KeyrailError):
            logging.getLogger("keyrail").error("unforeseen", exc_info=error)
            error = Internal(type(error).__name__)
        log(logging.ERROR, "request", operation=self.names[0], code=error.code)
        correlation_id.reset(token)
        return error
