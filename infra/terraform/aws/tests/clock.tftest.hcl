mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  vault = { address = "https://vault.example.com:8200" }
}

run "the_clock_calls_what_has_a_schedule" {
  assert {
    condition = { for operation, schedule in aws_scheduler_schedule.operation : operation => schedule.schedule_expression } == {
      rotate_due = "cron(* * * * ? *)"
      sweep      = "cron(17 3 * * ? *)"
    }
    error_message = "Schedules are not those of function.yaml."
  }

  assert {
    condition = alltrue([
      for operation, schedule in aws_scheduler_schedule.operation :
      jsondecode(schedule.target[0].input) == {
        source        = "aws.scheduler"
        "detail-type" = "Scheduled Event"
        detail        = { operation = operation }
      }
      && schedule.target[0].arn == aws_lambda_alias.live["rotate"].arn
      && schedule.target[0].dead_letter_config[0].arn == aws_sqs_queue.dead_letters.arn
      && schedule.schedule_expression_timezone == "UTC"
    ])
    error_message = "An event is not as docs/lambda.md has it, or is lost where it can't be handed over."
  }

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.rotator.qualifier == "live"
      && aws_lambda_function_event_invoke_config.rotator.destination_config[0].on_failure[0].destination == aws_sqs_queue.dead_letters.arn
    )
    error_message = "A tick that failed for good is lost."
  }
}

run "a_schedule_of_ones_own" {
  variables {
    schedules = { rotate_due = "rate(5 minutes)" }
  }

  assert {
    condition = (
      aws_scheduler_schedule.operation["rotate_due"].schedule_expression == "rate(5 minutes)"
      && aws_scheduler_schedule.operation["sweep"].schedule_expression == "cron(17 3 * * ? *)"
    )
    error_message = "A schedule of one's own is not taken, or is taken for the others too."
  }
}

run "secrets_manager_may_call_where_it_rotates" {
  variables {
    secrets_prefix  = "keyrail/"
    rotated_secrets = { gateway = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/gateway-AbCdEf", days = 30 } }
  }

  assert {
    condition = (
      aws_lambda_permission.secrets_manager[0].principal == "secretsmanager.amazonaws.com"
      && aws_lambda_permission.secrets_manager[0].source_account == "123456789012"
      && aws_lambda_permission.secrets_manager[0].function_name == "keyrail-rotate"
    )
    error_message = "Secrets Manager may not call, or that of another account may."
  }

  assert {
    condition = (
      aws_secretsmanager_secret_rotation.this["gateway"].secret_id == "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/gateway-AbCdEf"
      && aws_secretsmanager_secret_rotation.this["gateway"].rotation_rules[0].automatically_after_days == 30
      && aws_secretsmanager_secret_rotation.this["gateway"].rotate_immediately == false
    )
    error_message = "A secret is not rotated, or an apply rotates it."
  }
}

run "secrets_manager_may_not_call_where_it_rotates_nothing" {
  assert {
    condition     = length(aws_lambda_permission.secrets_manager) == 0
    error_message = "Secrets Manager may call for nothing."
  }
}
