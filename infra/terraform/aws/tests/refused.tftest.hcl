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
    event_arn            = "arn:aws:sqs:eu-central-1:123456789012:keys"
    table_kms_key_arn    = "arn:aws:kms:eu-central-1:123456789012:alias/keys"
    log_retention_days   = 31
    alarm_topic_arns     = ["arn:aws:lambda:eu-central-1:123456789012:function:hear"]
  }

  expect_failures = [
    var.name, var.dist, var.memory_mb, var.reserved_concurrency, var.layers, var.store, var.environment, var.vpc,
    var.throttle, var.schedules, var.secrets_prefix, var.event_arn, var.table_kms_key_arn,
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
    secrets_prefix       = "keyrail/"
    rotated_secrets      = { one = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/one-AbCdEf", days = 0 } }
  }

  expect_failures = [
    var.name, var.reserved_concurrency, var.vault, var.environment, var.schedules, var.rotated_secrets,
  ]
}

run "rotated_secrets_by_pattern" {
  command = plan

  variables {
    secrets_prefix  = "keyrail/"
    rotated_secrets = { all = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/*", days = 30 } }
  }

  expect_failures = [var.rotated_secrets]
}

run "a_rotated_secret_that_is_no_sink" {
  command = plan

  variables {
    secrets_prefix  = "keyrail/"
    rotated_secrets = { one = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf", days = 30 } }
  }

  expect_failures = [var.rotated_secrets]
}

run "a_rotated_secret_where_there_are_no_sinks" {
  command = plan

  variables {
    rotated_secrets = { one = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf", days = 30 } }
  }

  expect_failures = [var.rotated_secrets]
}

run "an_unknown_architecture" {
  command = plan

  variables {
    architecture = "arm"
  }

  expect_failures = [var.architecture]
}

run "neither_a_vault_nor_a_pepper" {
  command = plan

  variables {
    vault = null
  }

  expect_failures = [var.vault]
}

run "keys_in_vault_and_the_pepper_elsewhere" {
  command = plan

  variables {
    vault  = null
    pepper = { secret_name = "keyrail/pepper" }
  }

  expect_failures = [var.pepper]
}

run "a_pepper_in_two_places" {
  command = plan

  variables {
    store  = "dynamodb"
    vault  = null
    pepper = { secret_name = "keyrail/pepper", key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
  }

  expect_failures = [var.pepper]
}

run "a_pepper_that_rotate_could_write" {
  command = plan

  variables {
    store          = "dynamodb"
    vault          = null
    pepper         = { secret_name = "keyrail/pepper" }
    secrets_prefix = "keyrail/"
  }

  expect_failures = [var.pepper]
}

run "a_pepper_by_the_alias_of_its_key" {
  command = plan

  variables {
    store  = "dynamodb"
    vault  = null
    pepper = { key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/keyrail-pepper" }
  }

  expect_failures = [var.pepper]
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
