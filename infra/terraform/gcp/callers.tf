# Who may call a function, as far as Google is asked. Keyrail wants a key, or a tick's token, on top of that.

locals {
  members = merge(
    { for name in var.public_functions : "${name} allUsers" => { function = name, member = "allUsers" } },
    {
      for each in flatten([
        for name, members in var.invokers : [for member in members : { function = name, member = member }]
      ]) : "${each.function} ${each.member}" => each
    },
  )
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = local.members

  project  = var.project_id
  location = var.region
  name     = one([for name, each_function in google_cloudfunctions2_function.this : each_function.name if name == each.value.function])
  role     = "roles/run.invoker"
  member   = each.value.member

  lifecycle {
    precondition {
      condition     = contains(keys(local.functions), each.value.function)
      error_message = "public_functions or invokers name ${each.value.function}, which is not deployed here."
    }
  }
}
