"""Every IAM policy of the repository names its actions and its resources, and a policy that doesn't is found."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hcl_objects import objects, without_comments
from iam_lint import UNREADABLE, faults_in, statements_in_hcl, statements_in_json
from repository import ROOT

DOCUMENTS = sorted((ROOT / "infra/aws").rglob("*.json"))
MODULES = sorted({file.parent for file in (ROOT / "infra").rglob("*.tf")})
NAMED = {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": "arn:aws:sqs:eu-central-1:1:dead"}


def text_of_module(folder: Path) -> str:
    return "\n".join(file.read_text() for file in sorted(folder.glob("*.tf")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_every_policy_in_json_names_what_it_allows(document: Path) -> None:
    statements = list(statements_in_json(json.loads(document.read_text())))
    assert statements or document.name == "table.json"
    assert [(each.get("Sid"), fault) for each in statements for fault in faults_in(each)] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_every_policy_in_terraform_names_what_it_allows(module: Path) -> None:
    text = text_of_module(module)
    statements = list(statements_in_hcl(text))
    assert bool(statements) == ("aws_iam_" in text)
    assert [(each.get("Sid"), fault) for each in statements for fault in faults_in(each)] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_no_policy_of_aws_itself_is_attached_and_none_is_written_as_text(module: Path) -> None:
    text = without_comments(text_of_module(module))
    assert not re.search(r"iam::aws:policy|policy_attachment", text), "these are wider than any function needs"
    assert '"Statement"' not in text, "a policy in a text is read by nobody"


@pytest.mark.parametrize("module", MODULES, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_whoever_may_invoke_a_function_is_named(module: Path) -> None:
    """A service acts for everybody's resources: which of them, the permission must say."""
    permissions = [found for found in objects(text_of_module(module)) if {"principal", "action"} <= found.keys()]
    assert [found for found in permissions if not found.keys() & {"source_arn", "source_account"}] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Action": "*"}, "action *"),
        ({"Action": ["sqs:SendMessage", "sqs:*"]}, "action sqs:*"),
        ({"Action": ["sqs:Send?essage"]}, "action sqs:Send?essage"),
        ({"Action": []}, "no action"),
        ({"Resource": "*"}, "resource *"),
        ({"Resource": ["arn:aws:sqs:eu-central-1:1:dead", "arn:aws:sqs:*:*:*"]}, "resource arn:aws:sqs:*:*:*"),
        ({"Resource": []}, "no resource"),
        ({"NotAction": ["iam:PassRole"]}, "NotAction allows all but what it names"),
        ({"Principal": "*"}, "principal *"),
        ({"Principal": {"AWS": ["*"]}}, "principal *"),
        ({"Action": ["dynamodb:GetItem"]}, "items that no dynamodb:LeadingKeys names"),
        (
            {
                "Action": ["dynamodb:GetItem"],
                "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["feed"]}},
            },
            "items that no dynamodb:LeadingKeys names",
        ),
        ({"Action": ["logs:PutLogEvents", "logs:DeleteLogGroup"], "Resource": "${arn}:*"}, "resource ${arn}:*"),
        ({"Action": ["ec2:DescribeSubnets", "ec2:RunInstances"], "Resource": "*"}, "resource *"),
        ({"Action": ["secretsmanager:GetSecretValue"], "Resource": "arn:aws:secretsmanager:*:*:secret:*"}, "resource"),
        ({"Action": ["secretsmanager:GetSecretValue"], "Resource": "*"}, "resource *"),
    ],
)
def test_a_planted_fault_is_found(change: dict[str, Any], told: str) -> None:
    assert faults_in(NAMED) == []
    (fault,) = faults_in(NAMED | change)
    assert fault.startswith(told)


HCL = """
locals {
  queue_actions = ["sqs:SendMessage", "sqs:ReceiveMessage"] # "sqs:*"
  arns          = { queue = "arn:${data.aws_partition.here.partition}:sqs:${local.place}:${lookup(var.names, "dead")}" }
  statements = [for name in keys(local.functions) : {
    Sid       = "Queue"
    Effect    = "Allow"
    Action    = local.queue_actions
    Resource  = local.arns.queue
    Condition = { StringEquals = { "aws:SourceAccount" = "1" } }
  }]
  one_line = { Sid = "Line", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = aws_sqs_queue.dead.arn }
  denied   = { Effect = "Deny", Action = ["*"], Resource = "*" }
}

resource "aws_iam_role" "one" {
  assume_role_policy = jsonencode({
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

data "aws_iam_policy_document" "two" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.two.arn]
  }
}
"""


def faults_in_hcl(text: str) -> list[str]:
    return [fault for statement in statements_in_hcl(text) for fault in faults_in(statement)]


def test_what_terraforms_language_says_is_read() -> None:
    assert [each["Action"] for each in statements_in_hcl(HCL)] == [
        ["sqs:SendMessage", "sqs:ReceiveMessage"],
        ["sqs:SendMessage"],
        ["*"],
        ["sts:AssumeRole"],
        ["sns:Publish"],
    ]
    assert faults_in_hcl(HCL) == []


@pytest.mark.parametrize(
    ("was", "planted", "told"),
    [
        ('"sqs:ReceiveMessage"]', '"sqs:*"]', "action sqs:*"),
        ("Action    = local.queue_actions", "Action    = local.from_elsewhere", f"action {UNREADABLE}"),
        ("Action    = local.queue_actions", 'Action    = concat(["s3:*"], var.more)', "action s3:*"),
        ("Resource  = local.arns.queue", 'Resource  = "*"', "resource *"),
        ("Resource  = local.arns.queue", 'Resource  = ["arn:a", "arn:aws:sqs:*:*:*"]', "resource arn:aws:sqs:*:*:*"),
        ("Resource  = local.arns.queue", 'Resource  = "${aws_sqs_queue.dead["a"].arn}*"', "resource ${aws_sqs_queue"),
        ("Resource = aws_sqs_queue.dead.arn", 'Resource = "*"', "resource *"),
        ('{ Service = "lambda.amazonaws.com" }', '{ AWS = "*" }', "principal *"),
        ('"sns:Publish"', '"sns:*"', "action sns:*"),
        ("[aws_sns_topic.two.arn]", '["*"]', "resource *"),
    ],
)
def test_a_fault_planted_in_terraform_is_found(was: str, planted: str, told: str) -> None:
    assert HCL.count(was) == 1
    (fault,) = faults_in_hcl(HCL.replace(was, planted))
    assert fault.startswith(told)


def test_policies_in_a_plan_or_a_state_are_read_as_terraform_renders_them() -> None:
    def state(statement: dict[str, Any]) -> dict[str, Any]:
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        return {"resources": [{"instances": [{"attributes": {"name": "keyrail", "policy": policy}}]}]}

    assert [faults_in(each) for each in statements_in_json(state(NAMED))] == [[]]
    assert [faults_in(each) for each in statements_in_json(state(NAMED | {"Resource": "*"}))] == [["resource *"]]
