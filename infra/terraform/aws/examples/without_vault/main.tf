# Everything in AWS, and no Vault: the pepper made by KMS. docs/aws.md "Without Vault" says what that means.
#
#   make dist && cd infra/terraform/aws/examples/without_vault
#   terraform init && terraform apply
#   KEYRAIL_STORE=dynamodb KEYRAIL_PEPPER=kms keyrail bootstrap

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

variable "alarm_topic_arns" {
  description = "SNS topics that hear of alarms."
  type        = list(string)
  default     = []
}

# For Keyrail alone. Whoever may use it can have the pepper, and without it no key is accepted.
resource "aws_kms_key" "pepper" {
  description              = "Makes Keyrail's pepper"
  customer_master_key_spec = "HMAC_256"
  key_usage                = "GENERATE_VERIFY_MAC"

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "pepper" {
  name          = "alias/keyrail-pepper" # where `keyrail bootstrap` looks for it
  target_key_id = aws_kms_key.pepper.key_id
}

module "keyrail" {
  source = "../.."

  dist             = "${path.module}/../../../../../dist"
  store            = "dynamodb"
  pepper           = { key_arn = aws_kms_key.pepper.arn }
  secrets_prefix   = "keyrail/"
  snapstart        = true
  alarm_topic_arns = var.alarm_topic_arns
}

output "api_url" {
  description = "Where Keyrail's API is."
  value       = module.keyrail.api_url
}
