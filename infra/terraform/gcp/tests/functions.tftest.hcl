# Nothing is made: the providers are mocked.
mock_provider "google" {}
mock_provider "archive" {}

variables {
  project_id       = "acme-keys"
  region           = "europe-west1"
  vault_address    = "https://vault.example.com:8200"
  functions        = ["rotate", "validate_key"]
  public_functions = ["rotate"]
  invokers         = { validate_key = ["serviceAccount:gateway@acme-keys.iam.gserviceaccount.com"] }
}

run "a_function_is_what_its_manifest_says" {
  command = plan

  assert {
    condition     = google_cloudfunctions2_function.this["validate_key"].name == "keyrail-validate-key"
    error_message = "Cloud Run takes no underscore in a name."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["rotate"].service_config[0].timeout_seconds == yamldecode(file("../../../functions/rotate/function.yaml")).timeout_seconds
    error_message = "The timeout is that of function.yaml."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["validate_key"].service_config[0].available_memory == "256Mi"
    error_message = "Memory is told in MiB."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["validate_key"].service_config[0].min_instance_count == 1
    error_message = "validate_key keeps an instance warm."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["validate_key"].service_config[0].ingress_settings == "ALLOW_ALL"
    error_message = "Without ingress a function is reached from everywhere, and IAM decides."
  }
}

run "an_instance_without_cpu_between_requests_reads_the_feed_inline" {
  command = plan

  assert {
    condition     = google_cloudfunctions2_function.this["validate_key"].service_config[0].environment_variables["KEYRAIL_FEED_POLL"] == "inline"
    error_message = "A background thread stands still there."
  }
}

run "a_function_logs_in_by_its_service_account_and_no_secret_is_kept" {
  command = plan

  assert {
    condition = {
      for name, value in google_cloudfunctions2_function.this["validate_key"].service_config[0].environment_variables :
      name => value if startswith(name, "KEYRAIL_VAULT_")
      } == {
      KEYRAIL_VAULT_AUTH            = "google"
      KEYRAIL_VAULT_AUTH_MOUNT      = "jwt"
      KEYRAIL_VAULT_ROLE            = "keyrail-validate_key"
      KEYRAIL_VAULT_GOOGLE_AUDIENCE = "https://vault.example.com:8200"
    }
    error_message = "Role and audience are those of infra/terraform/vault."
  }

  assert {
    condition     = length(google_secret_manager_secret.secret_id) == 0 && length(google_cloudfunctions2_function.this["validate_key"].service_config[0].secret_volumes) == 0
    error_message = "Nothing is mounted, as there is nothing to keep."
  }
}

run "service_accounts_are_whom_the_vault_example_binds" {
  command = plan

  assert {
    condition     = { for name, account in google_service_account.function : name => account.account_id } == { rotate = "keyrail-rotate", validate_key = "keyrail-validate-key" }
    error_message = "infra/terraform/vault/examples/google names them by these ids."
  }
}

run "a_role_is_called_as_the_mount_is" {
  command = plan

  variables {
    settings = { KEYRAIL_VAULT_MOUNT = "keys" }
  }

  assert {
    condition     = google_cloudfunctions2_function.this["rotate"].service_config[0].environment_variables["KEYRAIL_VAULT_ROLE"] == "keys-rotate"
    error_message = "infra/terraform/vault calls roles <mount>-<function>."
  }
}

run "approle_needs_its_files" {
  command = plan

  variables {
    vault_login = "approle"
  }

  expect_failures = [var.identities_dir]
}

run "a_function_logs_in_as_itself_by_a_mounted_secret_id" {
  command = plan

  variables {
    vault_login    = "approle"
    identities_dir = "tests/identities"
  }

  assert {
    condition     = google_cloudfunctions2_function.this["validate_key"].service_config[0].environment_variables["KEYRAIL_VAULT_ROLE_ID"] == "role-of-validate_key"
    error_message = "The role id is that of bootstrap's file."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["validate_key"].service_config[0].environment_variables["KEYRAIL_VAULT_SECRET_ID_FILE"] == "/etc/keyrail/vault/secret-id"
    error_message = "The secret id is read where it is mounted."
  }

  assert {
    condition     = one(google_cloudfunctions2_function.this["validate_key"].service_config[0].secret_volumes).mount_path == "/etc/keyrail/vault"
    error_message = "The secret id is mounted."
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.secret_id["validate_key"].role == "roles/secretmanager.secretAccessor" && length(google_secret_manager_secret_iam_member.secret_id) == 2
    error_message = "Each function reads its own secret id."
  }
}

run "a_ca_of_ones_own_is_a_file" {
  command = plan

  variables {
    vault_login          = "approle"
    identities_dir       = "tests/identities"
    vault_ca_certificate = "-----BEGIN CERTIFICATE-----\nstands for one\n-----END CERTIFICATE-----\n"
  }

  assert {
    condition     = google_cloudfunctions2_function.this["rotate"].service_config[0].environment_variables["VAULT_CACERT"] == "/etc/keyrail/vault-ca/ca.pem"
    error_message = "VAULT_CACERT names the file."
  }

  assert {
    condition     = length(google_cloudfunctions2_function.this["rotate"].service_config[0].secret_volumes) == 2
    error_message = "It is mounted beside the secret id."
  }
}

run "only_who_is_named_may_call" {
  command = plan

  assert {
    condition     = toset(keys(google_cloud_run_v2_service_iam_member.invoker)) == toset(["rotate allUsers", "validate_key serviceAccount:gateway@acme-keys.iam.gserviceaccount.com"])
    error_message = "One member for each that was named, and nobody else."
  }
}

run "a_function_that_is_not_deployed_has_no_callers" {
  command = plan

  variables {
    public_functions = ["rotate", "validatekey"]
  }

  expect_failures = [google_cloud_run_v2_service_iam_member.invoker]
}

run "everybody_is_not_named_among_invokers" {
  command = plan

  variables {
    invokers = { validate_key = ["allUsers"] }
  }

  expect_failures = [var.invokers]
}

run "a_token_is_no_setting" {
  command = plan

  variables {
    settings = { VAULT_TOKEN = "none" }
  }

  expect_failures = [var.settings]
}

run "a_zone_is_no_region" {
  command = plan

  variables {
    region = "europe-west1-b"
  }

  expect_failures = [var.region]
}

run "plain_http_to_vault_is_refused" {
  command = plan

  variables {
    vault_address = "http://vault.example.com:8200"
  }

  expect_failures = [var.vault_address]
}
