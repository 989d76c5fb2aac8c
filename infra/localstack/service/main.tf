# The service, and a model's API of yours that it guards, in MiniStack. AWS_ENDPOINT_URL says where that is.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

provider "aws" {}

module "keyrail" {
  source = "../../terraform/aws"

  dist                = var.dist
  architecture        = var.architecture
  store               = "dynamodb"
  secrets_prefix      = "keyrail/"
  schedules           = { rotate_due = "rate(1 minute)" }
  deletion_protection = false
  environment         = { KEYRAIL_AUTHORIZER_ROUTES = jsonencode({ "GET /infer" = { required_scopes = "ml:infer" } }) }

  # OpenBao knows no login by IAM.
  vault  = var.vault_address == null ? null : { address = var.vault_address, auth = "jwt", jwt_file = var.jwt_file }
  pepper = var.vault_address == null ? { key_arn = aws_kms_key.pepper[0].arn } : null
}

resource "aws_kms_key" "pepper" {
  count = var.vault_address == null ? 1 : 0

  customer_master_key_spec = "HMAC_256"
  key_usage                = "GENERATE_VERIFY_MAC"
}

resource "aws_kms_alias" "pepper" {
  count = var.vault_address == null ? 1 : 0

  name          = "alias/keyrail-pepper"
  target_key_id = aws_kms_key.pepper[0].key_id
}

module "authorizer" {
  source = "../../terraform/aws/authorizer"

  api     = aws_apigatewayv2_api.model
  keyrail = module.keyrail.authorizer
}

resource "aws_apigatewayv2_api" "model" {
  name          = "model"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_route" "infer" {
  api_id             = aws_apigatewayv2_api.model.id
  route_key          = "GET /infer"
  target             = "integrations/${aws_apigatewayv2_integration.model.id}"
  authorization_type = "CUSTOM"
  authorizer_id      = module.authorizer.id
}

resource "aws_apigatewayv2_integration" "model" {
  api_id                 = aws_apigatewayv2_api.model.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.model.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_stage" "model" {
  api_id      = aws_apigatewayv2_api.model.id
  name        = "$default"
  auto_deploy = true
}

resource "aws_lambda_permission" "model" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.model.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.model.execution_arn}/*/*"
}

resource "aws_lambda_function" "model" {
  function_name    = "model"
  role             = aws_iam_role.model.arn
  runtime          = "python3.13"
  handler          = "model.answer"
  filename         = var.model
  source_code_hash = filebase64sha256(var.model)
}

resource "aws_iam_role" "model" {
  name = "model"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}
