# Secrets Manager calls the function itself, not its alias: it is documented for function ARNs alone.
resource "aws_lambda_permission" "secrets_manager" {
  count = length(var.rotated_secrets) > 0 ? 1 : 0

  statement_id   = "secrets-manager"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.this[local.rotator].function_name
  principal      = "secretsmanager.amazonaws.com"
  source_account = data.aws_caller_identity.here.account_id
}

resource "aws_secretsmanager_secret_rotation" "this" {
  for_each = var.rotated_secrets

  secret_id           = each.value.arn
  rotation_lambda_arn = aws_lambda_function.this[local.rotator].arn
  rotate_immediately  = false # an apply changes no secret

  rotation_rules {
    automatically_after_days = each.value.days
  }

  depends_on = [aws_lambda_permission.secrets_manager, aws_lambda_alias.live]
}
