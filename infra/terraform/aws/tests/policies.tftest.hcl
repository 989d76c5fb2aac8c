mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  vault = { address = "https://vault.example.com:8200" }
}

run "with_keys_in_vault_a_function_may_write_its_log" {
  assert {
    condition = alltrue([
      for name, policy in aws_iam_role_policy.function : jsondecode(policy.policy).Statement == [{
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.function[name].arn}:*"
      }] if name != "rotate"
    ])
    error_message = "A function may do more than write its log."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function["rotate"].policy).Statement[*].Sid == ["WriteLogs", "PutAside"]
    error_message = "The function rotate may do more than write its log and put events aside."
  }
}

run "everything_is_named" {
  variables {
    store             = "dynamodb"
    secrets_prefix    = "keyrail/"
    event_arn         = "arn:aws:events:eu-central-1:123456789012:event-bus/keys"
    table_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    rotated_secrets   = { gateway = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/gateway-AbCdEf", days = 30 } }
  }

  assert {
    condition = alltrue(flatten([
      for policy in concat(values(aws_iam_role_policy.function)[*].policy, [aws_iam_role_policy.scheduler.policy]) : [
        for statement in jsondecode(policy).Statement : [
          statement.Effect == "Allow",
          alltrue([for action in statement.Action : !strcontains(action, "*")]),
          alltrue([for arn in flatten([statement.Resource]) : can(regex("^arn:aws:[a-z]+:eu-central-1:123456789012:[^*]+(:\\*|/\\*)?$", arn))]),
        ]
      ]
    ]))
    error_message = "A policy has a wildcard that could be a name."
  }

  assert {
    condition = alltrue([
      for name, policy in aws_iam_role_policy.function :
      alltrue([
        for statement in jsondecode(file("../../aws/policies/${name}.json")).Statement : contains(
          jsondecode(policy.policy).Statement[*].Sid, statement.Sid
        )
      ])
      && !strcontains(policy.policy, "$${")
      && strcontains(policy.policy, "arn:aws:dynamodb:eu-central-1:123456789012:table/keyrail")
    ])
    error_message = "A function lacks a statement of infra/aws/policies, or one isn't filled in."
  }

  assert {
    condition = alltrue([
      for name, policy in aws_iam_role_policy.function :
      length([for action in flatten(jsondecode(policy.policy).Statement[*].Action) : action if can(regex("^(secretsmanager|events|sqs):", action))]) == (name == "rotate" ? 10 : 0)
    ])
    error_message = "Sinks, rotated secrets, events and the queue are for rotate alone."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.function["rotate"].policy).Statement :
      statement.Resource if statement.Sid == "RotateSecrets"
    ]) == ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/gateway-AbCdEf"]
    error_message = "The function rotate may rotate other secrets than the named ones."
  }

  assert {
    condition = alltrue([
      for policy in values(aws_iam_role_policy.function) : one([
        for statement in jsondecode(policy.policy).Statement :
        statement.Condition.StringEquals["kms:ViaService"] if statement.Sid == "DecryptTable"
      ]) == "dynamodb.eu-central-1.amazonaws.com"
    ])
    error_message = "The table's key can be used beside DynamoDB, or not at all."
  }
}

run "a_topic_is_told_by_another_right_than_a_bus" {
  variables {
    event_arn = "arn:aws:sns:eu-central-1:123456789012:keys"
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.function["rotate"].policy).Statement :
      "${statement.Action[0]} ${statement.Resource}" if statement.Sid == "TellTopic"
    ]) == "sns:Publish arn:aws:sns:eu-central-1:123456789012:keys"
    error_message = "The function rotate can't tell the topic."
  }
}

run "in_a_network_lambda_makes_interfaces_and_the_code_may_not" {
  variables {
    vpc = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
  }

  assert {
    condition = alltrue([
      for name, policy in aws_iam_role_policy.function : alltrue([
        for statement in jsondecode(policy.policy).Statement :
        statement.Condition.ArnEquals["lambda:SourceFunctionArn"] == "arn:aws:lambda:eu-central-1:123456789012:function:keyrail-${name}"
        if statement.Effect == "Deny"
      ])
      && toset(one([for statement in jsondecode(policy.policy).Statement : statement.Action if statement.Sid == "JoinNetwork"]))
      == toset(one([for statement in jsondecode(policy.policy).Statement : statement.Action if statement.Effect == "Deny"]))
    ])
    error_message = "A function's own code may change the network."
  }
}

run "roles_are_assumed_by_whom_they_are_for" {
  assert {
    condition = alltrue([
      for role in values(aws_iam_role.function) :
      jsondecode(role.assume_role_policy).Statement[0].Principal == { Service = "lambda.amazonaws.com" }
    ])
    error_message = "A function's role can be assumed by somebody else."
  }

  assert {
    condition = jsondecode(aws_iam_role.scheduler.assume_role_policy).Statement[0].Condition.StringEquals == {
      "aws:SourceAccount" = "123456789012"
      "aws:SourceArn"     = aws_scheduler_schedule_group.this.arn
    }
    error_message = "Schedules that aren't ours could borrow the scheduler's role."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.scheduler.policy).Statement : "${statement.Action[0]} ${statement.Resource}"
      ] == [
      "lambda:InvokeFunction ${aws_lambda_alias.live["rotate"].arn}", "sqs:SendMessage ${aws_sqs_queue.dead_letters.arn}",
    ]
    error_message = "The scheduler may do more than tick and put aside."
  }
}
