# The function that rotates and a secret that it is for, in LocalStack, wired as infra/terraform/aws/rotation.tf wires
# them: that module can't be applied here whole, since LocalStack's free edition has no API Gateway v2.

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

data "aws_caller_identity" "here" {}

data "aws_secretsmanager_secret" "rotated" {
  name = var.secret_name
}

resource "aws_lambda_function" "rotate" {
  function_name    = "keyrail-rotate"
  role             = aws_iam_role.rotate.arn
  runtime          = "python3.13"
  handler          = "main.lambda_handler"
  architectures    = [var.architecture]
  filename         = var.zip
  source_code_hash = filebase64sha256(var.zip)
  timeout          = 60

  environment {
    variables = var.environment
  }
}

resource "aws_iam_role" "rotate" {
  name = "keyrail-rotate"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_lambda_permission" "secrets_manager" {
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.rotate.function_name
  principal      = "secretsmanager.amazonaws.com"
  source_account = data.aws_caller_identity.here.account_id
}

resource "aws_secretsmanager_secret_rotation" "rotated" {
  secret_id           = data.aws_secretsmanager_secret.rotated.id
  rotation_lambda_arn = aws_lambda_function.rotate.arn
  rotate_immediately  = true # LocalStack answers 500 to false, so the apply rotates once

  rotation_rules {
    automatically_after_days = 30
  }

  depends_on = [aws_lambda_permission.secrets_manager]
}
