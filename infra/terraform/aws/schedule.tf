locals {
  # EventBridge wants six fields, and `?` for the day of the week. A line of cron that names one isn't taken.
  schedules = {
    for operation, route in local.routes :
    operation => "cron(${regex("^(\\S+ \\S+ \\S+ \\S+) \\*$", route.schedule)[0]} ? *)" if route.schedule != null
  }
}

resource "aws_scheduler_schedule_group" "this" {
  name = var.name
}

resource "aws_scheduler_schedule" "operation" {
  for_each = local.schedules

  name                         = "${var.name}-${each.key}"
  group_name                   = aws_scheduler_schedule_group.this.name
  schedule_expression          = lookup(var.schedules, each.key, each.value)
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_alias.live[local.rotator].arn
    role_arn = aws_iam_role.scheduler.arn
    input = jsonencode({
      source        = "aws.scheduler"
      "detail-type" = "Scheduled Event"
      detail        = { operation = each.key }
    })

    # Of handing the event over; what the function makes of it is a matter of the next resource.
    retry_policy {
      maximum_event_age_in_seconds = 300
      maximum_retry_attempts       = 3
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead_letters.arn
    }
  }
}

# The scheduler doesn't wait for an answer: Lambda itself repeats what failed, and puts it aside in the end.
resource "aws_lambda_function_event_invoke_config" "rotator" {
  function_name                = aws_lambda_alias.live[local.rotator].function_name
  qualifier                    = aws_lambda_alias.live[local.rotator].name
  maximum_event_age_in_seconds = 600
  maximum_retry_attempts       = 2

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead_letters.arn
    }
  }
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 14 * 24 * 3600 # SQS's longest
  sqs_managed_sse_enabled   = true
}
