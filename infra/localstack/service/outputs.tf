output "api_id" {
  description = "Id of Keyrail's API."
  value       = module.keyrail.api_id
}

output "model_api_id" {
  description = "Id of the guarded API."
  value       = aws_apigatewayv2_api.model.id
}

output "table_name" {
  description = "Name of the table with the keys."
  value       = module.keyrail.table_name
}
