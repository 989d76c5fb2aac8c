# The function validate_key as the authorizer of an HTTP API of yours: docs/lambda.md "The authorizer".

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

resource "aws_apigatewayv2_authorizer" "keyrail" {
  api_id                            = var.api.id
  name                              = var.name
  authorizer_type                   = "REQUEST"
  authorizer_uri                    = var.keyrail.invoke_arn
  authorizer_payload_format_version = "2.0"
  enable_simple_responses           = true
  identity_sources                  = ["$request.header.Authorization"]
  authorizer_result_ttl_in_seconds  = 0 # from a cache of API Gateway's a revoked key would still pass
}

resource "aws_lambda_permission" "authorizer" {
  statement_id  = "authorizer-${var.api.id}"
  action        = "lambda:InvokeFunction"
  function_name = var.keyrail.function_name
  qualifier     = var.keyrail.qualifier
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${var.api.execution_arn}/authorizers/${aws_apigatewayv2_authorizer.keyrail.id}"
}
