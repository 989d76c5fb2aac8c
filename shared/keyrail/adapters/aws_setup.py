"""What Keyrail needs to find in AWS where there is no Vault, and what `keyrail doctor` looks at there.

The table is made by whoever makes the functions, as infra/aws/table.json has it; the documents in it, and the pepper,
are made here. Each step looks first, so a run that was killed after any write is finished by the next one.

table -> pepper -> roles
"""

from collections.abc import Iterator
from dataclasses import dataclass

from keyrail.adapters.aws_answer import answer_of, server_time
from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.dynamodb_documents import DynamoDocuments
from keyrail.adapters.dynamodb_feed import DynamoChangeFeed
from keyrail.adapters.dynamodb_table import DynamoTable
from keyrail.adapters.pepper_admin import PepperPlace, ensure_pepper
from keyrail.adapters.setup_checks import (
    Check,
    Wrong,
    admin_key_is_well,
    clock_is_well,
    pepper_is_well,
    roles_are_well,
)
from keyrail.adapters.setup_documents import Step, ensure_roles
from keyrail.domain.errors import InvalidArgument

DEADLINE_SECONDS = 5.0  # a person is waiting
INDEXES = {"by_position": ["shard", "position"], "by_id": ["id_shard", "pk"]}  # keys by index, as in table.json
MAKE_TABLE = "Make the table as infra/aws/table.json has it."


@dataclass(frozen=True, slots=True)
class AwsPlace:
    """Under the administrator's own credentials."""

    table: DynamoTable
    documents: DynamoDocuments
    pepper: PepperPlace

    def set_up(self) -> Iterator[Step]:
        """Each step is done when it is yielded. Raises: Unavailable, InvalidArgument."""
        problem = self._problem_of_table()
        if problem is not None:
            raise InvalidArgument(f"The table {self.table.name} {problem}. {MAKE_TABLE}")
        yield Step(f"table {self.table.name}", "kept")
        yield ensure_pepper(self.pepper)
        yield ensure_roles(self.documents)

    def checks_of_account(self) -> Iterator[Check]:
        yield "credentials", _credentials
        yield f"table {self.table.name}", self._table
        yield "clock", self._clock

    def checks_of_setup(self) -> Iterator[Check]:
        yield "pepper", lambda: pepper_is_well(self.pepper)
        yield "roles", lambda: roles_are_well(self.documents)
        yield "change feed", self._feed
        yield "admin key", lambda: admin_key_is_well(self.documents)

    def _table(self) -> str:
        problem = self._problem_of_table()
        if problem is not None:
            raise Wrong(problem, MAKE_TABLE)
        return f"active, with {' and '.join(INDEXES)}"

    def _problem_of_table(self) -> str | None:
        table = self.table.read("describe_table")["Table"]
        found = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", ())}
        if [key["AttributeName"] for key in table["KeySchema"]] != ["pk"]:
            return "has another key than pk"
        for name, keys in INDEXES.items():
            if name not in found or [key["AttributeName"] for key in found[name]["KeySchema"]] != keys:
                return f"lacks the index {name} over {' and '.join(keys)}"
        states = {table["TableStatus"], *(found[name]["IndexStatus"] for name in INDEXES)}
        return None if states == {"ACTIVE"} else f"is not ready yet: {', '.join(sorted(states))}"

    def _clock(self) -> str:
        return clock_is_well(server_time(self.table.read("describe_table")))

    def _feed(self) -> str:
        return f"{DynamoChangeFeed(self.table).head().seq} changes so far"


def _credentials() -> str:
    """Who AWS says that we are."""
    return str(answer_of(AwsClient("sts", DEADLINE_SECONDS), "get_caller_identity")["Arn"])
