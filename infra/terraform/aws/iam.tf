# One role for each function, with what that function does and nothing else. The statements of the stores, sinks and
# events are those of infra/aws.

locals {
  policies = "${local.repository}/infra/aws"

  # As strings, since a role's policy is there before what it is about.
  arns = {
    table   = "arn:${data.aws_partition.here.partition}:dynamodb:${local.place}:table/${var.name}"
    secrets = "arn:${data.aws_partition.here.partition}:secretsmanager:${local.place}:secret:"
    lambda  = "arn:${data.aws_partition.here.partition}:lambda:${local.place}:function:"
  }

  log_statements = {
    for name, group in aws_cloudwatch_log_group.function : name => [{
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${group.arn}:*"
    }]
  }

  table_statements = {
    for name in keys(local.functions) : name => [
      for statement in jsondecode(
        templatefile("${local.policies}/policies/${name}.json", { table_arn = local.arns.table })
      ).Statement : statement if var.store == "dynamodb"
    ]
  }

  # DynamoDB decrypts a table's key in the name of who asks for an item.
  key_statements = [
    for arn in var.table_kms_key_arn[*] : {
      Sid       = "DecryptTable"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = arn
      Condition = { StringEquals = { "kms:ViaService" = "dynamodb.${data.aws_region.here.name}.amazonaws.com" } }
    } if var.store == "dynamodb"
  ]

  pepper_statements = [
    for pepper in var.pepper[*] : jsondecode(
      templatefile("${local.policies}/pepper.json", {
        table_arn         = local.arns.table
        pepper_secret_arn = "${local.arns.secrets}${coalesce(pepper.secret_name, "none")}-??????" # AWS ends each with six letters
        pepper_key_arn    = coalesce(pepper.key_arn, "none")
      })
    )[local.pepper_kind].Statement
  ]

  sink_statements = [
    for prefix in var.secrets_prefix[*] : jsondecode(
      templatefile("${local.policies}/sinks.json", { secrets_arn = "${local.arns.secrets}${prefix}" })
    ).Statement
  ]

  event_statements = [
    for arn in var.event_arn[*] : jsondecode(
      templatefile("${local.policies}/events.json", { event_arn = arn })
    )[split(":", arn)[2]].Statement
  ]

  # For secrets that are named: the document says what, not which.
  rotated_statements = [
    for statement in jsondecode(
      templatefile("${local.policies}/secret_rotation.json", { secrets_arn = local.arns.secrets })
    ).Statement : merge(statement, { Resource = values(var.rotated_secrets)[*].arn }) if length(var.rotated_secrets) > 0
  ]

  dead_letter_statement = {
    Sid      = "PutAside"
    Effect   = "Allow"
    Action   = ["sqs:SendMessage"]
    Resource = aws_sqs_queue.dead_letters.arn
  }

  rotator_statements = flatten([
    local.sink_statements, local.event_statements, local.rotated_statements, [local.dead_letter_statement],
  ])

  # Lambda makes the interfaces in the function's name; the function's own code may not. EC2 names no narrower resource.
  network_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]
  network_statements = {
    for name, full in local.names : name => [
      for statement in [
        { Sid = "JoinNetwork", Effect = "Allow", Action = local.network_actions, Resource = "*" },
        {
          Sid       = "JoinNetworkByLambdaAlone"
          Effect    = "Deny"
          Action    = local.network_actions
          Resource  = "*"
          Condition = { ArnEquals = { "lambda:SourceFunctionArn" = "${local.arns.lambda}${full}" } }
        },
      ] : statement if var.vpc != null
    ]
  }
}

resource "aws_iam_role" "function" {
  for_each = local.names

  name        = each.value
  description = "What Keyrail's function ${each.key} may do"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = local.names

  name = "keyrail"
  role = aws_iam_role.function[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.log_statements[each.key],
      local.table_statements[each.key],
      local.key_statements,
      flatten(local.pepper_statements),
      local.network_statements[each.key],
      [for statement in local.rotator_statements : statement if each.key == local.rotator],
    )
  })
}

resource "aws_iam_role" "scheduler" {
  name        = "${var.name}-scheduler"
  description = "Lets EventBridge Scheduler call Keyrail's function ${local.rotator}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = {
        StringEquals = {
          "aws:SourceAccount" = data.aws_caller_identity.here.account_id
          "aws:SourceArn"     = aws_scheduler_schedule_group.this.arn
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "scheduler" {
  name = "keyrail"
  role = aws_iam_role.scheduler.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Tick"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = aws_lambda_alias.live[local.rotator].arn
      },
      local.dead_letter_statement,
    ]
  })
}
