output "api_url" {
  description = "Where the API is: `KEYRAIL_URL` of the command line."
  value       = aws_apigatewayv2_api.this.api_endpoint
}

output "api_id" {
  description = "Id of the HTTP API, to map a domain of your own at its root."
  value       = aws_apigatewayv2_api.this.id
}

output "function_arns" {
  description = "ARN of the alias `live`, by function."
  value       = { for name, alias in aws_lambda_alias.live : name => alias.arn }
}

output "role_arns" {
  description = "ARN of the IAM role, by function: `bound_iam_principal_arn` of its role in Vault."
  value       = { for name, role in aws_iam_role.function : name => role.arn }
}

output "authorizer" {
  description = "What the module `authorizer` needs to know, to guard an API of your own."
  value = {
    function_name = aws_lambda_alias.live[local.validator].function_name
    qualifier     = aws_lambda_alias.live[local.validator].name
    invoke_arn    = aws_lambda_alias.live[local.validator].invoke_arn
  }
}

output "table_name" {
  description = "Name of the table; null where keys are in Vault."
  value       = one(aws_dynamodb_table.keys[*].name)
}

output "dead_letters_url" {
  description = "URL of the queue with events of the clock that failed for good."
  value       = aws_sqs_queue.dead_letters.url
}
