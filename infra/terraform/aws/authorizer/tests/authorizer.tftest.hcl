mock_provider "aws" {
  source = "../tests/mocks"
}

variables {
  api = { id = "theirs", execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:theirs" }
  keyrail = {
    function_name = "keyrail-validate_key"
    qualifier     = "live"
    invoke_arn    = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/mocked:live/invocations"
  }
}

run "nothing_is_cached_and_a_simple_answer_is_expected" {
  assert {
    condition = (
      aws_apigatewayv2_authorizer.keyrail.authorizer_result_ttl_in_seconds == 0
      && aws_apigatewayv2_authorizer.keyrail.authorizer_payload_format_version == "2.0"
      && aws_apigatewayv2_authorizer.keyrail.enable_simple_responses
      && aws_apigatewayv2_authorizer.keyrail.identity_sources == toset(["$request.header.Authorization"])
    )
    error_message = "The authorizer is not as docs/lambda.md has it."
  }
}

run "this_authorizer_alone_may_ask" {
  assert {
    condition = (
      aws_lambda_permission.authorizer.source_arn == "arn:aws:execute-api:eu-central-1:123456789012:theirs/authorizers/mockedauthorizer"
      && aws_lambda_permission.authorizer.qualifier == "live"
    )
    error_message = "Somebody else may ask the function, or nobody."
  }
}
