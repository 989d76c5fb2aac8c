"""What requests to DynamoDB need, and what a policy allows, as (action, index, pattern of the leading key)."""

from collections.abc import Iterator
from typing import Any


def rights_of(action: str, request: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Action, index and the pattern of the leading key of each item or span that the request names.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html"""
    name = "".join(word.capitalize() for word in action.split("_"))
    match request:
        case {"RequestItems": dict(tables)}:
            leading = [key["pk"]["S"] for each in tables.values() for key in each["Keys"]]
        case {"ExpressionAttributeValues": {":hash": {"S": str(shard)}}}:
            leading = [shard]
        case {"Key": {"pk": {"S": str(pk)}}} | {"Item": {"pk": {"S": str(pk)}}}:
            leading = [pk]
    index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
    for each in leading:
        kind, hash_sign, _ = each.partition("#")
        yield name, index, f"{kind}#*" if hash_sign else kind


def rights_allowed(statements: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (action.removeprefix("dynamodb:"), statement["Resource"].removeprefix("${table_arn}"), keys)
        for statement in statements
        for action in statement["Action"]
        for keys in leading_keys(statement)
    }


def leading_keys(statement: dict[str, Any]) -> list[str]:
    keys: list[str] = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    return keys
