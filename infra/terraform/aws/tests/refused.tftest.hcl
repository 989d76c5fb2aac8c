# Each run is wrong in many variables at once, since each of them is refused by itself.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  vault = { address = "https://vault.example.com:8200" }
}

run "values_that_aws_or_keyrail_would_not_take" {
  command = plan

  variables {
    name                 = "Keyrail"
    dist                 = "tests" # no zips there
    memory_mb            = 64
    reserved_concurrency = { validate = 5 }
    layers               = ["arn:aws:lambda:eu-central-1:123456789012:layer:ca"]
    store                = "memory"
    environment          = { VAULT_TOKEN = "x" }
    vpc                  = { subnet_ids = [], security_group_ids = ["sg-1"] }
    throttle             = { requests_per_second = 0, burst = 1 }
    schedules            = { issue_key = "rate(5 minutes)" }
    secrets_prefix       = "keyrail"
    rotated_secrets      = { all = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:*", days = 30 } }
    event_arn            = "arn:aws:sqs:eu-central-1:123456789012:keys"
    table_kms_key_arn    = "arn:aws:kms:eu-central-1:123456789012:alias/keys"
    log_retention_days   = 31
    alarm_topic_arns     = ["arn:aws:lambda:eu-central-1:123456789012:function:hear"]
  }

  expect_failures = [
    var.name, var.dist, var.memory_mb, var.reserved_concurrency, var.layers, var.store, var.environment, var.vpc,
    var.throttle, var.schedules, var.secrets_prefix, var.rotated_secrets, var.event_arn, var.table_kms_key_arn,
    var.log_retention_days, var.alarm_topic_arns,
  ]
}

run "values_that_are_wrong_in_another_way" {
  command = plan

  variables {
    name                 = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
    reserved_concurrency = { validate_key = 0 } # answers nobody
    vault                = { address = "http://vault.example.com:8200" }
    environment          = { KEYRAIL_STORE = "memory" }
    schedules            = { sweep = "17 3 * * *" }
    rotated_secrets      = { one = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf", days = 0 } }
  }

  expect_failures = [
    var.name, var.reserved_concurrency, var.vault, var.environment, var.schedules, var.rotated_secrets,
  ]
}

run "an_unknown_architecture" {
  command = plan

  variables {
    architecture = "arm"
  }

  expect_failures = [var.architecture]
}

run "keys_in_a_vault_that_is_nowhere" {
  command = plan

  variables {
    vault = null
  }

  expect_failures = [var.store]
}

run "a_password_in_the_address_of_vault" {
  command = plan

  variables {
    vault = { address = "https://me:secret@vault.example.com" }
  }

  expect_failures = [var.vault]
}

run "a_stored_token_of_vault" {
  command = plan

  variables {
    vault = { address = "https://vault.example.com", auth = "token" }
  }

  expect_failures = [var.vault]
}

run "jwt_without_a_file" {
  command = plan

  variables {
    vault = { address = "https://vault.example.com", auth = "jwt" }
  }

  expect_failures = [var.vault]
}
