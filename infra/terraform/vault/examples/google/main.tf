# For functions on Google Cloud: each logs in by its service account. VAULT_ADDR and an administrator's VAULT_TOKEN come
# from the environment.

terraform {
  required_version = ">= 1.11, < 2.0.0"

  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = "~> 5.0"
    }
  }
}

variable "project_id" {
  type        = string
  description = "The Google Cloud project where the functions run."
}

variable "vault_address" {
  type        = string
  description = "VAULT_ADDR of the functions: what their tokens are for."
}

provider "vault" {}

locals {
  functions_dir = "${path.module}/../../../../../functions"
}

module "keyrail" {
  source = "../.."

  jwt = {
    discovery_url = "https://accounts.google.com"
    issuer        = "https://accounts.google.com"
    audiences     = [var.vault_address]
    bound_claims = {
      for file in fileset(local.functions_dir, "*/policy.hcl") :
      dirname(file) => { email = "keyrail-${replace(dirname(file), "_", "-")}@${var.project_id}.iam.gserviceaccount.com" }
    }
  }
}

output "policies" {
  description = "Names of policies and roles."
  value       = module.keyrail.policies
}
