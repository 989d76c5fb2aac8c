mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  vault = { address = "https://vault.example.com:8200" }
}

run "every_function_is_there_as_it_asks_to_be" {
  assert {
    condition = toset(keys(aws_lambda_function.this)) == toset([
      for file in fileset("../../../functions", "*/function.yaml") : dirname(file)
    ])
    error_message = "Functions here are not those of functions/."
  }

  assert {
    condition = alltrue([
      for name, function in aws_lambda_function.this :
      function.timeout == yamldecode(file("../../../functions/${name}/function.yaml")).timeout_seconds
      && function.memory_size == 1024
      && function.architectures == tolist(["arm64"])
      && endswith(function.filename, "/${name}-arm64.zip")
      && function.handler == "main.lambda_handler"
      && function.publish
    ])
    error_message = "A function is not as its function.yaml has it."
  }

  assert {
    condition     = alltrue([for name, alias in aws_lambda_alias.live : alias.function_version == "7"])
    error_message = "An alias does not name the version that was published."
  }

  assert {
    condition = alltrue([
      for name, group in aws_cloudwatch_log_group.function :
      group.name == "/aws/lambda/keyrail-${name}" && group.retention_in_days == 90
    ])
    error_message = "A function logs to a group without an end."
  }
}

run "each_function_logs_in_to_vault_as_itself" {
  variables {
    vault = { address = "https://vault.example.com:8200", aws_server_id = "vault.example.com" }
  }

  assert {
    condition = alltrue([
      for name, function in aws_lambda_function.this : function.environment[0].variables == tomap({
        KEYRAIL_STORE               = "vault"
        KEYRAIL_VAULT_AUTH          = "aws"
        KEYRAIL_VAULT_AWS_SERVER_ID = "vault.example.com"
        KEYRAIL_VAULT_ROLE          = "keyrail-${name}"
        VAULT_ADDR                  = "https://vault.example.com:8200"
      })
    ])
    error_message = "A function has other settings than these."
  }
}

run "settings_reach_the_functions_they_are_for" {
  variables {
    store          = "dynamodb"
    secrets_prefix = "keyrail/"
    event_arn      = "arn:aws:sns:eu-central-1:123456789012:keys"
    environment    = { KEYRAIL_LOG_LEVEL = "WARNING" }
  }

  assert {
    condition = alltrue([
      for name, function in aws_lambda_function.this :
      lookup(function.environment[0].variables, "KEYRAIL_SECRETS_PREFIX", "") == (name == "rotate" ? "keyrail/" : "")
      && function.environment[0].variables.KEYRAIL_EVENT_ARN == "arn:aws:sns:eu-central-1:123456789012:keys"
      && function.environment[0].variables.KEYRAIL_DYNAMODB_TABLE == aws_dynamodb_table.keys[0].name
      && function.environment[0].variables.KEYRAIL_LOG_LEVEL == "WARNING"
    ])
    error_message = "A setting is missing, or is where it is not needed."
  }
}

run "options_are_off" {
  assert {
    condition = alltrue([
      for function in values(aws_lambda_function.this) :
      length(function.snap_start) == 0 && length(function.vpc_config) == 0
      && function.reserved_concurrent_executions == -1
    ])
    error_message = "Something is on that nobody asked for."
  }
}

run "options_are_on" {
  variables {
    architecture         = "x86_64"
    memory_mb            = 1769
    snapstart            = true
    reserved_concurrency = { validate_key = 50 }
    vpc                  = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
    layers               = ["arn:aws:lambda:eu-central-1:123456789012:layer:ca:3"]
  }

  assert {
    condition = alltrue([
      for name, function in aws_lambda_function.this :
      function.snap_start[0].apply_on == "PublishedVersions"
      && function.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"])
      && function.vpc_config[0].security_group_ids == toset(["sg-1"])
      && function.architectures == tolist(["x86_64"])
      && endswith(function.filename, "/${name}-x86_64.zip")
      && function.memory_size == 1769
      && function.layers == tolist(["arn:aws:lambda:eu-central-1:123456789012:layer:ca:3"])
      && function.reserved_concurrent_executions == (name == "validate_key" ? 50 : -1)
    ])
    error_message = "An option did not reach every function."
  }
}
