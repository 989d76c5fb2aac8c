# Nothing is made: the provider is mocked.
mock_provider "vault" {}

run "mounts_are_as_bootstrap_makes_them" {
  command = plan

  assert {
    condition     = alltrue([for mount in vault_mount.this : mount.type == "kv" && mount.options.version == "2"])
    error_message = "Each mount is a KV version 2 one."
  }

  assert {
    condition     = { for path, each in vault_kv_secret_backend_v2.this : path => each.max_versions } == { keyrail = 1, keyrail-config = 20, keyrail-delivery = 1 }
    error_message = "Only configs keep versions."
  }

  assert {
    condition     = alltrue([for each in vault_kv_secret_backend_v2.this : each.cas_required])
    error_message = "Every write names what it replaces."
  }
}

run "each_function_has_the_policy_of_its_file" {
  command = plan

  assert {
    condition     = vault_policy.this["validate_key"].policy == file("../../../functions/validate_key/policy.hcl")
    error_message = "With the usual mounts the policy is the file, byte for byte."
  }

  assert {
    condition     = toset(keys(vault_policy.this)) == toset([for file in fileset("../../../functions", "*/policy.hcl") : dirname(file)])
    error_message = "One policy a function."
  }
}

run "other_mounts_are_named_in_policies" {
  command = plan

  variables {
    mount        = "keys"
    config_mount = "keyrail" # what the files call the mount of keys
  }

  assert {
    condition     = strcontains(vault_policy.this["rotate"].policy, "path \"keys/data/keys/+/+\" {") && strcontains(vault_policy.this["rotate"].policy, "path \"keyrail/data/*\" {")
    error_message = "Each path is renamed once."
  }

  assert {
    condition     = vault_policy.this["rotate"].name == "keys-rotate"
    error_message = "Two deployments in one Vault don't share policies."
  }
}

run "a_role_gives_a_short_batch_token_with_one_policy" {
  command = plan

  assert {
    condition = alltrue([
      for name, role in vault_approle_auth_backend_role.this :
      role.token_policies == toset(["keyrail-${name}"]) && role.token_type == "batch" && role.token_ttl == 900 && role.token_no_default_policy
    ])
    error_message = "As keyrail bootstrap makes them."
  }
}

run "every_way_to_log_in" {
  command = plan

  variables {
    containers_dir = "../../../containers"
    kubernetes     = { service_account = { grpc = "config-service" } }
    aws = {
      server_id      = "vault.example.com"
      principal_arns = { validate_key = ["arn:aws:iam::123456789012:role/keyrail-validate-key"] }
    }
    jwt = {
      discovery_url = "https://accounts.google.com"
      issuer        = "https://accounts.google.com"
      audiences     = ["https://vault.example.com:8200"]
      bound_claims  = { validate_key = { email = "keyrail-validate-key@acme-keys.iam.gserviceaccount.com" } }
    }
  }

  assert {
    condition     = toset(keys(vault_auth_backend.this)) == toset(["approle", "aws", "kubernetes"])
    error_message = "A backend for each method; JWT's is a resource of its own."
  }

  assert {
    condition     = one(vault_kubernetes_auth_backend_role.this["validate_key"].bound_service_account_names) == "validate-key" && one(vault_kubernetes_auth_backend_role.this["grpc"].bound_service_account_names) == "config-service"
    error_message = "A pod logs in by its own service account."
  }

  assert {
    condition     = length(vault_aws_auth_backend_role.this) == 1 && vault_aws_auth_backend_role.this["validate_key"].auth_type == "iam"
    error_message = "Only functions with principals log in by IAM."
  }

  assert {
    condition     = length(vault_jwt_auth_backend_role.this) == 1 && vault_jwt_auth_backend_role.this["validate_key"].role_type == "jwt"
    error_message = "Only functions with claims log in by a token."
  }
}

run "no_approle_where_none_is_wanted" {
  command = plan

  variables {
    approle = null
  }

  assert {
    condition     = length(vault_auth_backend.this) == 0 && length(vault_approle_auth_backend_role.this) == 0
    error_message = "null makes none."
  }
}

run "any_role_of_an_account_is_refused" {
  command = plan

  variables {
    aws = { server_id = "vault.example.com", principal_arns = { validate_key = ["arn:aws:iam::123456789012:role/*"] } }
  }

  expect_failures = [var.aws]
}

run "any_token_of_an_issuer_is_refused" {
  command = plan

  variables {
    jwt = {
      discovery_url = "https://accounts.google.com"
      issuer        = "https://accounts.google.com"
      audiences     = ["https://vault.example.com:8200"]
      bound_claims  = { validate_key = {} }
    }
  }

  expect_failures = [var.jwt]
}

run "one_mount_for_two_things_is_refused" {
  command = plan

  variables {
    config_mount = "keyrail"
  }

  expect_failures = [var.delivery_mount]
}
