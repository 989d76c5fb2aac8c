"""One DynamoDB table, and what its answers mean.

conflict   the condition of a write did not hold: an answer, no fault
busy       throttled: for certain nothing was done, so it is tried again for a moment, then Unavailable
unsent     no connection: the same
unknown    5xx, or no answer, after a request was sent: a write may have happened (DeadlineExceeded), a read is tried
           again for a moment, then Unavailable
refused    any other: Unavailable; a table that is missing and an action that IAM denies are no answer either

Texts of exceptions may quote the request, so only their classes and codes are told.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

import random
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from keyrail import tracing
from keyrail.adapters.aws_client import AwsClient
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.ports import Metrics, NoMetrics

TRIES = 3
PAUSE_SECONDS = 0.05  # the longest before the second try, doubled before the third
_BUSY = {
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionInProgressException",
}
Item = dict[str, Any]


class _Fault(Exception):
    """`was_done` None: nobody knows. `outcome`: the word for it in Metrics.dynamodb_call."""

    def __init__(self, what: str, outcome: str = "fault", *, was_done: bool | None, may_pass: bool = True) -> None:
        super().__init__(what)
        self.outcome, self.was_done, self.may_pass = outcome, was_done, may_pass


class ConditionFailed(Exception):
    """The condition of a write did not hold. `standing` is the item, where the request asked for it."""

    outcome = "conflict"

    def __init__(self, standing: Item | None) -> None:
        super().__init__()
        self.standing = standing


class DynamoTable:
    """`endpoint_url` None: what boto3 finds."""

    def __init__(
        self, name: str, deadline_seconds: float, endpoint_url: str | None = None, metrics: Metrics | None = None
    ) -> None:
        self.name, self._deadline_seconds = name, deadline_seconds
        self._metrics = metrics or NoMetrics()
        self._client = AwsClient("dynamodb", deadline_seconds, endpoint_url)

    def read(self, action: str, **request: Any) -> dict[str, Any]:
        """`action` as boto3 names it; the table is filled in. Raises: Unavailable."""
        return self._tried(action, {"TableName": self.name, **request}, is_write=False)

    def read_items(self, pks: list[str]) -> dict[str, Item]:
        """Those that exist, by pk, never stale, in one request. Raises: Unavailable."""
        keys = [{"pk": {"S": pk}} for pk in pks]
        asked = {"RequestItems": {self.name: {"Keys": keys, "ConsistentRead": True}}}
        reply = self._tried("batch_get_item", asked, is_write=False)
        if reply["UnprocessedKeys"]:  # what throttling looks like in a batch; absent is something else
            raise Unavailable("DynamoDB left a part of a batch unread")
        return {item["pk"]["S"]: item for item in reply["Responses"][self.name]}

    def query(self, index: str, shard: tuple[str, str], span: tuple[str, str, str], page: int) -> Iterator[Item]:
        """Of an index, in the order of its range key: (hash key's name, value), (range key's name, from, up to).

        `page` items a request, so that whoever stops early pays for no more. Raises: Unavailable.
        """
        request: dict[str, Any] = {
            "IndexName": index,
            "KeyConditionExpression": "#hash = :hash AND #range BETWEEN :low AND :high",
            "ExpressionAttributeNames": {"#hash": shard[0], "#range": span[0]},
            "ExpressionAttributeValues": {":hash": {"S": shard[1]}, ":low": {"S": span[1]}, ":high": {"S": span[2]}},
            "Limit": page,
        }
        while True:
            reply = self.read("query", **request)
            yield from reply["Items"]
            if "LastEvaluatedKey" not in reply:
                return
            request["ExclusiveStartKey"] = reply["LastEvaluatedKey"]

    def write(self, action: str, **request: Any) -> dict[str, Any]:
        """Raises: ConditionFailed, Unavailable; DeadlineExceeded where nobody knows what became of it."""
        return self._tried(action, {"TableName": self.name, **request}, is_write=True)

    def client(self) -> Any:
        """boto3's. Raises: what boto3 raises."""
        return self._client.get()

    def _tried(self, action: str, request: dict[str, Any], *, is_write: bool) -> dict[str, Any]:
        ends_at = time.monotonic() + self._deadline_seconds
        for left in reversed(range(TRIES)):
            try:
                return self._once(action, request)
            except _Fault as fault:
                if is_write and fault.was_done is None:
                    raise DeadlineExceeded(f"DynamoDB {action}: {fault}") from None
                pause = random.uniform(0, PAUSE_SECONDS) * 2 ** (TRIES - 1 - left)  # noqa: S311 - spreads load
                if not left or not fault.may_pass or time.monotonic() + pause > ends_at:
                    raise Unavailable(f"DynamoDB {action}: {fault}") from None
            time.sleep(pause)
        raise AssertionError  # the last try returns or raises

    def _once(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        """Within a span of its own, where traces are collected. Raises: _Fault, ConditionFailed."""
        name = _operation(action)
        if tracing.tracer is None:
            answer = self._timed(name, action, request)
        else:
            with tracing.tracer.call(f"DynamoDB.{name}", self._told(name)) as span:
                answer = self._timed(name, action, request)
                if isinstance(answer, _Fault):
                    span.fail(str(answer))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _told(self, name: str) -> tracing.Attributes:
        """https://opentelemetry.io/docs/specs/semconv/db/dynamodb/ Nothing in it is of an item."""
        return {"db.system.name": "aws.dynamodb", "db.operation.name": name, "db.collection.name": self.name}

    def _timed(self, name: str, action: str, request: dict[str, Any]) -> "dict[str, Any] | _Fault | ConditionFailed":
        started_at = time.monotonic()
        answer = self._answer(action, request)
        outcome = answer.outcome if isinstance(answer, _Fault | ConditionFailed) else "ok"
        self._metrics.dynamodb_call(name, outcome, time.monotonic() - started_at)
        return answer

    def _answer(self, action: str, request: dict[str, Any]) -> "dict[str, Any] | _Fault | ConditionFailed":
        from botocore import exceptions

        try:
            reply: dict[str, Any] = getattr(self._ready_client(), action)(**request)
        except _Fault as fault:
            return fault
        except exceptions.ClientError as error:
            return _meaning(error.response)
        except (exceptions.ConnectTimeoutError, exceptions.EndpointConnectionError) as error:
            return _Fault(type(error).__name__, _word(error), was_done=False)
        except exceptions.HTTPClientError as error:  # ReadTimeoutError and ConnectionClosedError among them
            return _Fault(type(error).__name__, _word(error), was_done=None)
        except exceptions.BotoCoreError as error:  # no credentials, no region, a malformed endpoint, an answer cut off
            return _Fault(type(error).__name__, was_done=None, may_pass=False)
        return reply

    def _ready_client(self) -> Any:
        """Where it can't even be made, nothing was sent."""
        from botocore.exceptions import BotoCoreError

        try:
            return self.client()
        except (BotoCoreError, ValueError) as error:
            raise _Fault(type(error).__name__, was_done=False, may_pass=False) from None


def _meaning(response: dict[str, Any]) -> _Fault | ConditionFailed:
    code, status = response["Error"].get("Code", ""), response["ResponseMetadata"].get("HTTPStatusCode", 0)
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(response.get("Item"))
    if code in _BUSY:
        return _Fault(code, "busy", was_done=False)
    if status >= 500:
        return _Fault(f"answered with {status}", was_done=None)
    return _Fault(code or f"answered with {status}", "refused", was_done=False, may_pass=False)


def _word(error: Exception) -> str:
    return "timeout" if "Timeout" in type(error).__name__ else "fault"


@cache
def _operation(action: str) -> str:
    """As AWS spells it."""
    return "".join(word.capitalize() for word in action.split("_"))
