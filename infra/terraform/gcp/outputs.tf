output "urls" {
  description = "The address of each operation; paths in braces are for you to fill in."
  value = {
    for each in flatten([
      for name, told in local.functions : [for route in told.routes : merge(route, { function = name })]
    ]) : each.operation => "${google_cloudfunctions2_function.this[each.function].service_config[0].uri}${each.path}"
  }
}

output "service_accounts" {
  description = "Whom each function runs as."
  value       = { for name, account in google_service_account.function : name => account.email }
}

output "ticker" {
  description = "Whose tokens `rotate` takes as ticks; null without a clock."
  value       = one(google_service_account.ticker[*].email)
}

output "jobs" {
  description = "The Cloud Scheduler jobs by operation: `gcloud scheduler jobs run <job>` ticks at once."
  value       = { for operation, job in google_cloud_scheduler_job.tick : operation => job.name }
}

output "address" {
  description = "Where the domain's A record is to point; null without a domain."
  value       = one(google_compute_global_address.this[*].address)
}
