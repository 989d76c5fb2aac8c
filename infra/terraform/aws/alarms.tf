# Only where somebody hears them: without a topic none is made.

locals {
  # A 5xx over HTTP is no error of Lambda's: that is a call which failed, such as a tick that left keys undone.
  function_alarms = merge([
    for name, function in local.functions : {
      for metric, statistic in { Errors = "Sum", Throttles = "Sum", Duration = "p99" } :
      "${name}-${lower(metric)}" => {
        namespace  = "AWS/Lambda"
        metric     = metric
        dimensions = { FunctionName = local.names[name] }
        statistic  = statistic
        above      = metric == "Duration" ? function.timeout_seconds * 800 : 0 # ms: four fifths of what it may take
      }
    }
  ]...)

  # Of an index that can't follow, writes of the table are throttled.
  table_alarms = {
    for pair in setproduct(["Read", "Write"], concat(["table"], local.table.GlobalSecondaryIndexes[*].IndexName)) :
    "${pair[1]}-${lower(pair[0])}-throttles" => {
      namespace  = "AWS/DynamoDB"
      metric     = "${pair[0]}ThrottleEvents"
      dimensions = merge({ TableName = var.name }, pair[1] == "table" ? {} : { GlobalSecondaryIndexName = pair[1] })
      statistic  = "Sum"
      above      = 0
    } if var.store == "dynamodb"
  }

  other_alarms = {
    dead-letters = {
      namespace  = "AWS/SQS"
      metric     = "ApproximateNumberOfMessagesVisible"
      dimensions = { QueueName = aws_sqs_queue.dead_letters.name }
      statistic  = "Maximum"
      above      = 0
    }
    api-5xx = { # a store that can't answer, first of all
      namespace  = "AWS/ApiGateway"
      metric     = "5xx"
      dimensions = { ApiId = aws_apigatewayv2_api.this.id }
      statistic  = "Sum"
      above      = 0
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = {
    for name, alarm in merge(local.function_alarms, local.table_alarms, local.other_alarms) :
    name => alarm if length(var.alarm_topic_arns) > 0
  }

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.metric} of Keyrail, five minutes: docs/lambda.md"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic == "p99" ? null : each.value.statistic
  extended_statistic  = each.value.statistic == "p99" ? "p99" : null
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
