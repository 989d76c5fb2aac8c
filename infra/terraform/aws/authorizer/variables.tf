variable "api" {
  description = "HTTP API to guard: an `aws_apigatewayv2_api`, or its id and execution ARN."
  type = object({
    id            = string
    execution_arn = string
  })
}

variable "keyrail" {
  description = "Output `authorizer` of the module `aws`."
  type = object({
    function_name = string
    qualifier     = string
    invoke_arn    = string
  })
}

variable "name" {
  description = "Name of the authorizer."
  type        = string
  default     = "keyrail"
}
