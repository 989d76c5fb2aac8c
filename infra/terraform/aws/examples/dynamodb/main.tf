# Keys in DynamoDB; pepper, roles and configs in Vault, which functions log in to by their IAM roles.
#
#   make dist && cd infra/terraform/aws/examples/dynamodb
#   terraform init && terraform apply -var vault_address=https://vault.example.com:8200

terraform {
  required_version = ">= 1.9"
}

provider "aws" {
  region = var.region
}

variable "region" {
  description = "Region of everything here."
  type        = string
  default     = "eu-central-1"
}

variable "vault_address" {
  description = "Address of your Vault."
  type        = string
}

module "keyrail" {
  source = "../.."

  dist           = "${path.module}/../../../../../dist"
  store          = "dynamodb"
  vault          = { address = var.vault_address }
  secrets_prefix = "keyrail/"
}

# An API of your own: every route with this authorizer wants a key.
resource "aws_apigatewayv2_api" "inference" {
  name          = "inference"
  protocol_type = "HTTP"
}

module "authorizer" {
  source  = "../../authorizer"
  api     = aws_apigatewayv2_api.inference
  keyrail = module.keyrail.authorizer
}

output "api_url" {
  description = "Where Keyrail's API is."
  value       = module.keyrail.api_url
}

output "role_arns" {
  description = "For bound_iam_principal_arn of the roles in Vault."
  value       = module.keyrail.role_arns
}
