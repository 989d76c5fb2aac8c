"""AWS Lambda: the plain function that `functions/<op>/main.py` offers as `lambda_handler`. docs/lambda.md

Which kind of event it is shows in fields that only the caller of Lambda sets: API Gateway, a load balancer,
EventBridge, SQS, Secrets Manager. A client of theirs has no part in them.
"""

from collections.abc import Callable
from typing import Any

from keyrail.domain.errors import InvalidArgument
from keyrail.triggers.served import Served


def lambda_function(served: Served) -> Callable[[Any, Any], Any]:
    def lambda_handler(event: Any, context: Any) -> Any:
        """Raises, as Lambda's callers want it: EventFailed and RotationFailed to be called again; AuthorizerFailed,
        Unauthorized."""
        from keyrail.triggers import lambda_http

        if isinstance(event, dict):
            if lambda_http.is_http_event(event):
                return lambda_http.answer(served, event, context)
            from keyrail.triggers import lambda_authorizer, lambda_schedule

            if "validate_key" in served.names and lambda_authorizer.is_authorizer_event(event):
                return lambda_authorizer.authorize(served, event, context)
            if lambda_schedule.is_scheduled(served, event):
                return lambda_schedule.run(served, event, context)
            if lambda_schedule.is_queued(served, event):
                return lambda_schedule.run_queued(served, event, context)
            if "rotate" in served.names:
                from keyrail.triggers import lambda_rotation

                if lambda_rotation.is_rotation_event(event):
                    return lambda_rotation.run(served, event, context)
        refused = InvalidArgument("This function takes no such event.", code="MALFORMED_REQUEST")
        reply = served.unserved(lambda_http.own_id(context), refused)
        return lambda_http.response_to(reply, {})

    return lambda_handler
