# What logs a function into Vault by AppRole. Only that function can read it, and Terraform keeps no copy.

locals {
  with_secret_id = { for name, each in local.functions : name => each if var.vault_login == "approle" }
}

resource "google_secret_manager_secret" "secret_id" {
  for_each = local.with_secret_id

  project   = var.project_id
  secret_id = "${each.value.id}-vault-secret-id"
  labels    = local.labels

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "secret_id" {
  for_each = local.with_secret_id

  secret                 = google_secret_manager_secret.secret_id[each.key].id
  secret_data_wo         = file("${var.identities_dir}/${each.key}.secret-id")
  secret_data_wo_version = var.identities_version

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_secret_manager_secret_iam_member" "secret_id" {
  for_each = local.with_secret_id

  project   = var.project_id
  secret_id = google_secret_manager_secret.secret_id[each.key].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.key].member
}

# No secret, but the way to bring a file into a function.
resource "google_secret_manager_secret" "vault_ca" {
  count = var.vault_ca_certificate == null ? 0 : 1

  project   = var.project_id
  secret_id = "${var.name}-vault-ca"
  labels    = local.labels

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "vault_ca" {
  count = var.vault_ca_certificate == null ? 0 : 1

  secret      = google_secret_manager_secret.vault_ca[0].id
  secret_data = var.vault_ca_certificate

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_secret_manager_secret_iam_member" "vault_ca" {
  for_each = var.vault_ca_certificate == null ? {} : local.functions

  project   = var.project_id
  secret_id = google_secret_manager_secret.vault_ca[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.key].member
}
