mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  store = "dynamodb"
}

run "pepper_in_secrets_manager" {
  variables {
    pepper = { secret_name = "keyrail-pepper" }
  }

  assert {
    condition = alltrue([
      for function in values(aws_lambda_function.this) : function.environment[0].variables == tomap({
        KEYRAIL_DYNAMODB_TABLE = "keyrail"
        KEYRAIL_PEPPER         = "secretsmanager"
        KEYRAIL_PEPPER_SECRET  = "keyrail-pepper"
        KEYRAIL_STORE          = "dynamodb"
      })
    ])
    error_message = "A function has other settings than these."
  }

  assert {
    condition = alltrue([
      for policy in values(aws_iam_role_policy.function) : one([
        for statement in jsondecode(policy.policy).Statement :
        "${join(" ", statement.Action)} ${statement.Resource}" if statement.Sid == "ReadPepper"
      ]) == "secretsmanager:GetSecretValue arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail-pepper-??????"
    ])
    error_message = "A function can't read the pepper, or other secrets too."
  }
}

run "with_everything_a_policy_is_as_long_as_iam_takes" {
  variables {
    pepper            = { key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
    secrets_prefix    = "keyrail/"
    rotated_secrets   = { gateway = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/acme/gateway-AbCdEf", days = 30 } }
    event_arn         = "arn:aws:events:eu-central-1:123456789012:event-bus/keys"
    table_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    vpc               = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
  }

  assert {
    condition     = max([for policy in values(aws_iam_role_policy.function) : length(policy.policy)]...) < 10240
    error_message = "A role's policies may have 10,240 characters."
  }
}

run "pepper_made_by_kms" {
  variables {
    pepper = { key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
  }

  assert {
    condition = alltrue([
      for function in values(aws_lambda_function.this) : function.environment[0].variables == tomap({
        KEYRAIL_DYNAMODB_TABLE = "keyrail"
        KEYRAIL_PEPPER         = "kms"
        KEYRAIL_STORE          = "dynamodb"
      })
    ])
    error_message = "A function has other settings than these."
  }

  assert {
    condition = alltrue([
      for policy in values(aws_iam_role_policy.function) : one([
        for statement in jsondecode(policy.policy).Statement :
        "${join(" ", statement.Action)} ${statement.Resource}" if statement.Sid == "MakePepper"
      ]) == "kms:GenerateMac arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    ])
    error_message = "A function can't make the pepper, or with other keys too."
  }
}
