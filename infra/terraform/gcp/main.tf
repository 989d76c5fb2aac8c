locals {
  functions_dir = coalesce(var.functions_dir, "${path.module}/../../../functions")
  dist_dir      = coalesce(var.dist_dir, "${path.module}/../../../dist")
  told = {
    for file in fileset(local.functions_dir, "*/function.yaml") :
    dirname(file) => yamldecode(file("${local.functions_dir}/${file}"))
  }
  functions = {
    for name, each in local.told : name => merge(each, { id = "${var.name}-${replace(name, "_", "-")}" })
    if var.functions == null ? true : contains(var.functions, name)
  }
  labels = merge({ app = "keyrail" }, var.labels)
}

resource "google_service_account" "function" {
  for_each = local.functions

  project      = var.project_id
  account_id   = each.value.id
  display_name = "Keyrail: ${each.key}"
}

resource "google_cloudfunctions2_function" "this" {
  for_each = local.functions
  depends_on = [
    google_artifact_registry_repository_iam_member.builder,
    google_project_iam_member.builder_copies,
    google_project_iam_member.builder_logs,
    google_storage_bucket_iam_member.builder,
    google_secret_manager_secret_iam_member.secret_id,
    google_secret_manager_secret_iam_member.vault_ca,
  ]

  project     = var.project_id
  location    = var.region
  name        = each.value.id
  description = "Keyrail: ${join(", ", [for route in each.value.routes : route.operation])}"
  labels      = local.labels

  build_config {
    runtime         = var.runtime
    entry_point     = each.value.entry_point
    service_account = google_service_account.builder.id

    docker_repository = google_artifact_registry_repository.images.id

    source {
      storage_source {
        bucket = google_storage_bucket.sources.name
        object = google_storage_bucket_object.source[each.key].name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.function[each.key].email
    environment_variables            = local.environment[each.key]
    available_memory                 = "${each.value.memory_mb}Mi"
    available_cpu                    = "1" # the least with which an instance takes more than one request at a time
    timeout_seconds                  = each.value.timeout_seconds
    max_instance_request_concurrency = each.value.concurrency
    min_instance_count               = min(lookup(var.min_instances, each.key, each.value.min_instances), var.max_instances)
    max_instance_count               = var.max_instances
    ingress_settings                 = var.ingress
    vpc_connector                    = var.vpc_connector
    vpc_connector_egress_settings    = var.vpc_connector == null ? null : "PRIVATE_RANGES_ONLY"

    dynamic "secret_volumes" {
      for_each = { for name, secret in google_secret_manager_secret.secret_id : name => secret if name == each.key }

      content {
        mount_path = local.secret_id_folder
        project_id = var.project_id
        secret     = secret_volumes.value.secret_id

        versions {
          version = google_secret_manager_secret_version.secret_id[secret_volumes.key].version
          path    = "secret-id"
        }
      }
    }

    dynamic "secret_volumes" {
      for_each = google_secret_manager_secret.vault_ca

      content {
        mount_path = local.vault_ca_folder
        project_id = var.project_id
        secret     = secret_volumes.value.secret_id

        versions {
          version = google_secret_manager_secret_version.vault_ca[0].version
          path    = "ca.pem"
        }
      }
    }
  }
}
