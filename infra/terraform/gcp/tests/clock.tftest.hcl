# Nothing is made: the providers are mocked.
mock_provider "google" {}
mock_provider "archive" {}

variables {
  project_id       = "acme-keys"
  region           = "europe-west1"
  vault_address    = "https://vault.example.com:8200"
  functions        = ["rotate", "validate_key"]
  public_functions = ["rotate"]
}

run "the_clock_calls_what_has_a_schedule" {
  command = apply

  assert {
    condition     = { for operation, job in google_cloud_scheduler_job.tick : operation => job.schedule } == { rotate_due = "* * * * *", sweep = "17 3 * * *" }
    error_message = "Schedules are those of function.yaml."
  }

  assert {
    condition     = endswith(google_cloud_scheduler_job.tick["rotate_due"].http_target[0].uri, "/v1/rotation/tick")
    error_message = "A tick is posted to the operation's own path."
  }

  assert {
    condition     = alltrue([for job in google_cloud_scheduler_job.tick : job.time_zone == "Etc/UTC" && job.http_target[0].http_method == "POST"])
    error_message = "function.yaml tells times in UTC."
  }
}

run "rotate_takes_the_tokens_of_the_one_who_ticks_and_no_other_function_does" {
  command = apply

  assert {
    condition     = google_cloudfunctions2_function.this["rotate"].service_config[0].environment_variables["KEYRAIL_TICK_OIDC_SUBJECT"] == google_service_account.ticker[0].unique_id
    error_message = "The subject is the ticker's."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["rotate"].service_config[0].environment_variables["KEYRAIL_TICK_OIDC_AUDIENCE"] == google_cloud_scheduler_job.tick["rotate_due"].http_target[0].oidc_token[0].audience
    error_message = "What the job asks for is what the function wants."
  }

  assert {
    condition     = !contains(keys(google_cloudfunctions2_function.this["validate_key"].service_config[0].environment_variables), "KEYRAIL_TICK_OIDC_ISSUER")
    error_message = "validate_key takes no ticks."
  }
}

run "a_private_rotate_gets_no_ticks" {
  command = plan

  variables {
    public_functions = []
  }

  expect_failures = [google_cloud_scheduler_job.tick]
}

run "without_a_clock_everything_may_be_private" {
  command = plan

  variables {
    public_functions = []
    clock            = false
  }

  assert {
    condition     = length(google_cloud_scheduler_job.tick) == 0 && length(google_service_account.ticker) == 0
    error_message = "No job, and nobody to tick."
  }
}

run "a_failed_tick_is_told_of_where_someone_listens" {
  command = apply

  variables {
    alert_channels = ["projects/acme-keys/notificationChannels/1"]
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.tick_failed[0].conditions[0].condition_matched_log[0].filter, "keyrail-rotate-due")
    error_message = "The filter names the jobs."
  }
}
