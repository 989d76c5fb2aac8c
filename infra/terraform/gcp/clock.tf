# Cloud Scheduler calls what function.yaml has a schedule for, with a token that Google signs and Keyrail checks.

locals {
  tick_audience = "${var.name}-tick"
  jobs = {
    for each in flatten([
      for name, told in local.functions : [
        for route in told.routes : {
          function  = name
          operation = route.operation
          path      = route.path
          schedule  = route.schedule
          seconds   = told.timeout_seconds
        } if route.schedule != null
      ]
    ]) : each.operation => each if var.clock
  }
}

resource "google_service_account" "ticker" {
  count = length(local.jobs) > 0 ? 1 : 0

  project      = var.project_id
  account_id   = "${var.name}-ticker"
  display_name = "Keyrail: ticks"
}

resource "google_cloud_scheduler_job" "tick" {
  for_each = local.jobs

  project          = var.project_id
  region           = var.region
  name             = "${var.name}-${replace(each.key, "_", "-")}"
  description      = "Keyrail: ${each.key}"
  schedule         = each.value.schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "${max(each.value.seconds, 15)}s"

  retry_config {
    retry_count = 0 # the next tick goes on where this one stopped
  }

  http_target {
    http_method = "POST"
    uri         = "${google_cloudfunctions2_function.this[each.value.function].service_config[0].uri}${each.value.path}"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode("{}")

    oidc_token {
      service_account_email = google_service_account.ticker[0].email
      audience              = local.tick_audience
    }
  }

  lifecycle {
    precondition {
      condition     = contains(var.public_functions, each.value.function)
      error_message = "The clock calls ${each.value.function}: name it in public_functions, or set clock = false. Where Cloud Run checks a token, the function gets it without its signature, and Keyrail refuses it."
    }
  }
}

resource "google_monitoring_alert_policy" "tick_failed" {
  count = length(var.alert_channels) > 0 && length(local.jobs) > 0 ? 1 : 0

  project               = var.project_id
  display_name          = "Keyrail: a tick failed"
  combiner              = "OR"
  notification_channels = var.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "Cloud Scheduler got no 2xx"

    condition_matched_log {
      filter = join(" AND ", [
        "resource.type=\"cloud_scheduler_job\"",
        "severity>=ERROR",
        "resource.labels.job_id=(${join(" OR ", [for job in google_cloud_scheduler_job.tick : "\"${job.name}\""])})",
      ])
    }
  }

  alert_strategy {
    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    content = "One rotation or more could not be done: see the runbook in docs/rotation.md. The function's log names the key ids."
  }
}
