mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  vault = { address = "https://vault.example.com:8200" }
}

run "routes_are_those_of_the_functions" {
  assert {
    condition = toset(values(aws_apigatewayv2_route.operation)[*].route_key) == toset(flatten([
      for file in fileset("../../../functions", "*/function.yaml") : [
        for route in yamldecode(file("../../../functions/${file}")).routes : "${route.method} ${route.path}"
      ]
    ]))
    error_message = "A route of functions/*/function.yaml is missing, or there is one too many."
  }

  assert {
    condition = alltrue([
      for file in fileset("../../../functions", "*/function.yaml") : alltrue([
        for route in yamldecode(file("../../../functions/${file}")).routes :
        aws_apigatewayv2_route.operation[route.operation].target
        == "integrations/${aws_apigatewayv2_integration.function[dirname(file)].id}"
      ])
    ])
    error_message = "A route leads to another function than its own."
  }
}

run "integrations_call_the_live_version_with_payload_2" {
  assert {
    condition = alltrue([
      for name, integration in aws_apigatewayv2_integration.function :
      integration.integration_uri == aws_lambda_alias.live[name].invoke_arn
      && integration.payload_format_version == "2.0"
      && integration.timeout_milliseconds <= 30000
    ])
    error_message = "An integration is not that of a live version, or outlasts API Gateway's 30 seconds."
  }

  assert {
    condition = alltrue([
      for permission in values(aws_lambda_permission.api) :
      permission.qualifier == "live" && permission.source_arn == "${aws_apigatewayv2_api.this.execution_arn}/*/*"
    ])
    error_message = "Somebody beside this API may invoke a function."
  }
}

run "paths_have_no_stage_in_front" {
  assert {
    condition     = aws_apigatewayv2_stage.live.name == "$default" && aws_apigatewayv2_stage.live.auto_deploy
    error_message = "Paths are not those of the API, or a change of a route waits for somebody."
  }
}

run "requests_are_limited" {
  variables {
    throttle = { requests_per_second = 7, burst = 3 }
  }

  assert {
    condition = (
      aws_apigatewayv2_stage.live.default_route_settings[0].throttling_rate_limit == 7
      && aws_apigatewayv2_stage.live.default_route_settings[0].throttling_burst_limit == 3
    )
    error_message = "The stage does not throttle as it was told."
  }
}

run "no_header_or_query_is_logged" {
  assert {
    condition     = !can(regex("(?i)authorization|header|query|\\$context\\.path|authorizer", aws_apigatewayv2_stage.live.access_log_settings[0].format))
    error_message = "The access log may hold a key."
  }

  assert {
    condition     = aws_cloudwatch_log_group.api.retention_in_days == 90
    error_message = "The access log is kept without end."
  }
}
