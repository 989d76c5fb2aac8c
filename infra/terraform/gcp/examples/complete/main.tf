# All functions behind one project's edge. docs/deploy/gcp.md says what comes before it.

terraform {
  required_version = ">= 1.11, < 2.0.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.0"
    }
  }
}

variable "project_id" {
  type        = string
  description = "The Google Cloud project."
}

variable "region" {
  type        = string
  description = "Region of the functions."
  default     = "europe-west1"
}

variable "vault_address" {
  type        = string
  description = "VAULT_ADDR of the functions."
}

provider "google" {
  project = var.project_id
  region  = var.region
}

module "keyrail" {
  source = "../.."

  project_id    = var.project_id
  region        = var.region
  vault_address = var.vault_address

  # Keyrail asks every caller for a key itself.
  public_functions = [
    "get_key", "issue_key", "list_keys", "read_config", "revoke_key", "rotate", "update_key", "validate_key", "write_config",
  ]
}

output "urls" {
  description = "The address of each operation."
  value       = module.keyrail.urls
}
