"""What is wrong with an IAM policy: an action or a resource that is left open and could be named.

Policies come as JSON (`${...}` stands for what Terraform fills in), in Terraform's language, and rendered, in a plan or
a state. What https://docs.aws.amazon.com/service-authorization/latest/reference/ lets nobody name is excused below.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from hcl_objects import attributes, objects, parts, strings

Statement = dict[str, Any]  # as in JSON; of Terraform's language each value is a list of texts
UNREADABLE = "(an expression)"


class Excuse(NamedTuple):
    """Actions that may be allowed on resources of this form together."""

    actions: frozenset[str]
    resource: re.Pattern[str]


EXCUSED = (
    # Lambda names the streams of its log group
    Excuse(frozenset({"logs:CreateLogStream", "logs:PutLogEvents"}), re.compile(r"[^*?]+:\*")),
    # a sink is named by whoever makes its key, and every ARN ends in characters of AWS: the prefix is the border
    Excuse(
        frozenset(
            f"secretsmanager:{action}"
            for action in (
                "CreateSecret",
                "DescribeSecret",
                "GetSecretValue",
                "PutSecretValue",
                "UpdateSecretVersionStage",
            )
        ),
        re.compile(r"(?:\$\{secrets_arn\}|arn:[^:*?]+:secretsmanager:[^:*?]+:[0-9]{12}:secret:[^*?]+/)\*"),
    ),
    # the ARN of one secret, whose last six characters are AWS's
    Excuse(
        frozenset({"secretsmanager:GetSecretValue"}),
        re.compile(r"arn:[^:*?]+:secretsmanager:[^:*?]+:[0-9]{12}:secret:[^*?]+-\?{6}"),
    ),
    # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaVPCAccessExecutionRole.html
    Excuse(
        frozenset(
            f"ec2:{action}"
            for action in (
                "AssignPrivateIpAddresses",
                "CreateNetworkInterface",
                "DeleteNetworkInterface",
                "DescribeNetworkInterfaces",
                "DescribeSubnets",
                "UnassignPrivateIpAddresses",
            )
        ),
        re.compile(r"\*"),
    ),
)
ITEM_ACTIONS = {
    f"dynamodb:{action}"
    for action in ("BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")
}


def faults_in(statement: Statement) -> list[str]:
    if statement.get("Effect") != "Allow":
        return []  # what is denied may be as wide as it likes
    actions, resources = listed(statement.get("Action")), listed(statement.get("Resource"))
    faults = [f"{name} allows all but what it names" for name in statement if name.startswith("Not")]
    faults += [f"action {action}" for action in actions if re.search(r"[*?]", action) or action == UNREADABLE]
    faults += [f"principal {each}" for each in _principals(statement.get("Principal")) if "*" in each]
    faults += [f"resource {each}" for each in resources if re.search(r"[*?]", each) and not _is_excused(actions, each)]
    if not actions:
        faults.append("no action")
    if not resources and "Principal" not in statement:
        faults.append("no resource")
    if ITEM_ACTIONS & {*actions} and not _names_items(statement.get("Condition")):
        faults.append("items that no dynamodb:LeadingKeys names")
    return faults


def listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _is_excused(actions: list[str], resource: str) -> bool:
    return any(excuse.actions >= {*actions} and excuse.resource.fullmatch(resource) for excuse in EXCUSED)


def _principals(principal: Any) -> list[str]:
    if isinstance(principal, dict):
        return [each for value in principal.values() for each in listed(value)]
    return listed(principal)


def _names_items(condition: Any) -> bool:
    """And holds where a request names none: `ForAllValues` alone is true of nothing."""
    text = json.dumps(condition)
    return "dynamodb:LeadingKeys" in text and "Null" in text


def statements_in_json(document: Any) -> Iterator[Statement]:
    """Of every policy in it, however deep, and whether it is an object or a text, as in a plan or a state."""
    if isinstance(document, str) and '"Statement"' in document:
        document = json.loads(document)
    if isinstance(document, list):
        for each in document:
            yield from statements_in_json(each)
    elif isinstance(document, dict):
        for name, value in document.items():
            if name == "Statement":
                yield from [value] if isinstance(value, dict) else value
            else:
                yield from statements_in_json(value)


def statements_in_hcl(text: str) -> Iterator[Statement]:
    """Of one module: objects that have an effect, and the blocks of `aws_iam_policy_document`."""
    local = {name: value for found in objects(text) for name, value in found.items()}
    for found in objects(text):
        if "Effect" in found:
            read = {name: _read(value, local) for name, value in found.items() if name != "Condition"}
            yield read | {"Effect": _effect(read), "Condition": found.get("Condition")}
        elif "actions" in found or "not_actions" in found:
            names = {"actions": "Action", "resources": "Resource", "not_actions": "NotAction", "effect": "Effect"}
            read = {names[name]: _read(value, local) for name, value in found.items() if name in names}
            yield read | {"Effect": _effect(read), "Condition": text}


def _effect(statement: Statement) -> str:
    return "Deny" if statement.get("Effect") == ["Deny"] else "Allow"


def _read(value: str, local: dict[str, str]) -> list[str]:
    """The texts of a literal, of a list of them, or of what a local name stands for."""
    if value.startswith("["):
        items = [item.strip() for item in parts(value[1:-1]) if item.strip()]
        return [each for item in items for each in _read(item, local)]
    if value.startswith("{"):
        return [each for inner in attributes(value[1:-1]).values() for each in _read(inner, local)]
    if re.fullmatch(r"local\.\w+", value) and value.removeprefix("local.") in local:
        return _read(local[value.removeprefix("local.")], local)
    if re.fullmatch(r'"(?:[^"]|\$\{[^}]*\})*"', value):
        return strings(value)
    return [text for text in strings(value) if "*" in text] or [UNREADABLE]
