output "mounts" {
  description = "The mounts as settings of the functions."
  value = {
    KEYRAIL_VAULT_MOUNT    = vault_mount.this[var.mount].path
    KEYRAIL_CONFIG_MOUNT   = vault_mount.this[var.config_mount].path
    KEYRAIL_DELIVERY_MOUNT = vault_mount.this[var.delivery_mount].path
    KEYRAIL_DATABASE_MOUNT = var.database_mount
  }
}

output "policies" {
  description = "The name of each function's policy, which is that of its roles too (KEYRAIL_VAULT_ROLE)."
  value       = local.policy_names
}

output "auth_mounts" {
  description = "Where each login method is mounted (KEYRAIL_VAULT_AUTH_MOUNT)."
  value = {
    for method, told in { approle = var.approle, kubernetes = var.kubernetes, aws = var.aws, jwt = var.jwt } :
    method => told.path if told != null
  }
}
