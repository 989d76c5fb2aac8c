# Every way to log in beside AppRole. VAULT_ADDR and an administrator's VAULT_TOKEN come from the environment.

terraform {
  required_version = ">= 1.11, < 2.0.0"

  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = "~> 5.0"
    }
  }
}

provider "vault" {}

module "keyrail" {
  source = "../.."

  containers_dir    = "${path.module}/../../../../../containers"
  token_bound_cidrs = ["10.0.0.0/8"]

  kubernetes = {
    service_account = { grpc = "config-service" }
  }

  aws = {
    server_id      = "vault.example.com"
    principal_arns = { for function in ["rotate", "validate_key"] : function => ["arn:aws:iam::123456789012:role/keyrail-${function}"] }
  }

  # Google's tokens of a service account, from its metadata server
  jwt = {
    discovery_url = "https://accounts.google.com"
    issuer        = "https://accounts.google.com"
    audiences     = ["https://vault.example.com:8200"]
    bound_claims = {
      for function in ["rotate", "validate_key"] :
      function => { email = "keyrail-${replace(function, "_", "-")}@acme-keys.iam.gserviceaccount.com" }
    }
  }
}

output "policies" {
  description = "Names of policies and roles."
  value       = module.keyrail.policies
}
