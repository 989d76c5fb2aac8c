mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  store = "dynamodb"
}

run "pepper_in_secrets_manager" {
  variables {
    pepper = { secret_name = "keyrail/pepper" }
  }

  assert {
    condition = alltrue([
      for function in values(aws_lambda_function.this) : function.environment[0].variables == tomap({
        KEYRAIL_DYNAMODB_TABLE = "keyrail"
        KEYRAIL_PEPPER         = "secretsmanager"
        KEYRAIL_PEPPER_SECRET  = "keyrail/pepper"
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
      ]) == "secretsmanager:GetSecretValue arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/pepper-??????"
    ])
    error_message = "A function can't read the pepper, or other secrets too."
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
