mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  store = "dynamodb"
  vault = { address = "https://vault.example.com:8200" }
}

run "no_alarm_where_nobody_hears_it" {
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 0
    error_message = "There are alarms without a topic."
  }
}

run "alarms_of_every_part" {
  variables {
    alarm_topic_arns = ["arn:aws:sns:eu-central-1:123456789012:alarms"]
  }

  assert {
    condition = alltrue(flatten([
      for name in keys(aws_lambda_function.this) : [
        for metric in ["errors", "throttles", "duration"] :
        aws_cloudwatch_metric_alarm.this["${name}-${metric}"].dimensions.FunctionName == "keyrail-${name}"
      ]
    ]))
    error_message = "A function has no alarm, or that of another one."
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["rotate-duration"].threshold == 48000
      && aws_cloudwatch_metric_alarm.this["rotate-duration"].extended_statistic == "p99"
      && aws_cloudwatch_metric_alarm.this["dead-letters"].dimensions.QueueName == aws_sqs_queue.dead_letters.name
      && aws_cloudwatch_metric_alarm.this["api-5xx"].dimensions.ApiId == aws_apigatewayv2_api.this.id
      && aws_cloudwatch_metric_alarm.this["table-write-throttles"].dimensions == tomap({ TableName = "keyrail" })
      && aws_cloudwatch_metric_alarm.this["by_id-write-throttles"].dimensions.GlobalSecondaryIndexName == "by_id"
    )
    error_message = "An alarm looks at something else."
  }

  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.this) : alarm.alarm_actions == toset(var.alarm_topic_arns)])
    error_message = "An alarm tells nobody."
  }
}

run "keys_in_vault_have_no_table_to_watch" {
  variables {
    store            = "vault"
    alarm_topic_arns = ["arn:aws:sns:eu-central-1:123456789012:alarms"]
  }

  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.this) : alarm.namespace != "AWS/DynamoDB"])
    error_message = "There is an alarm of a table that isn't there."
  }
}
