# From dist/<function>/ to an image: an archive, the bucket it lies in, and who builds.

data "google_project" "this" {
  project_id = var.project_id
}

data "archive_file" "source" {
  for_each = local.functions

  type             = "zip"
  source_dir       = "${local.dist_dir}/${each.key}"
  output_path      = "${local.dist_dir}/${each.key}-source.zip"
  output_file_mode = "0644"
}

resource "google_storage_bucket" "sources" {
  project                     = var.project_id
  location                    = var.region
  name                        = "${var.project_id}-${var.name}-sources"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # sources only, which `make dist` makes again
  labels                      = local.labels
}

resource "google_storage_bucket_object" "source" {
  for_each = local.functions

  bucket = google_storage_bucket.sources.name
  name   = "${each.key}-${data.archive_file.source[each.key].output_sha256}.zip" # another source is another object, so that it is deployed
  source = data.archive_file.source[each.key].output_path
}

resource "google_artifact_registry_repository" "images" {
  project       = var.project_id
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  description   = "Images that Google builds of Keyrail's functions"
  labels        = local.labels
}

resource "google_service_account" "builder" {
  project      = var.project_id
  account_id   = "${var.name}-builder"
  display_name = "Keyrail: builds its functions"
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  project    = var.project_id
  location   = var.region
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder.member
}

resource "google_project_iam_member" "builder_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.builder.member
}

resource "google_storage_bucket_iam_member" "builder" {
  bucket = google_storage_bucket.sources.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.builder.member
}

# Cloud Functions copies a source into a bucket of its own before it is built.
resource "google_project_iam_member" "builder_copies" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = google_service_account.builder.member

  condition {
    title      = "sources of functions"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-${var.region}\")"
  }
}
