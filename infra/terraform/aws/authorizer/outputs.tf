output "id" {
  description = "Id of the authorizer: `authorizer_id` of a route with `authorization_type = \"CUSTOM\"`."
  value       = aws_apigatewayv2_authorizer.keyrail.id
}
