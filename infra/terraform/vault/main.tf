# What `keyrail bootstrap` makes, but for the pepper, the roles in it and the first admin key: those would lie in the
# state. Run it afterwards; it keeps all that is here.

locals {
  functions_dir = coalesce(var.functions_dir, "${path.module}/../../../functions")
  policy_files = merge(
    { for file in fileset(local.functions_dir, "*/policy.hcl") : dirname(file) => "${local.functions_dir}/${file}" },
    var.containers_dir == null ? {} : {
      for file in fileset(var.containers_dir, "*/policy.hcl") : dirname(file) => "${var.containers_dir}/${file}"
    },
  )
  mounts_in_files = {
    keyrail            = var.mount
    "keyrail-config"   = var.config_mount
    "keyrail-delivery" = var.delivery_mount
    database           = var.database_mount
    pki                = var.pki_mount
  }
  # Each path is cut behind `path "<mount>`, so that a mount called as another one in the files is not renamed twice.
  policies = {
    for name, file in local.policy_files : name => join("path \"", [
      for index, part in split("path \"", file(file)) :
      index == 0 ? part : join("/", concat(
        [lookup(local.mounts_in_files, split("/", part)[0], split("/", part)[0])],
        slice(split("/", part), 1, length(split("/", part))),
      ))
    ])
  }
  mounts = {
    (var.mount)          = { max_versions = 1 }
    (var.config_mount)   = { max_versions = 20 }
    (var.delivery_mount) = { max_versions = 1 } # no old key lies about, not even as a history
  }
}

resource "vault_mount" "this" {
  for_each = local.mounts

  namespace   = var.namespace
  path        = each.key
  type        = "kv"
  options     = { version = "2" }
  description = "Keyrail"

  lifecycle {
    prevent_destroy = true # with the mount go its keys, and the pepper without which none can be validated
  }
}

resource "vault_kv_secret_backend_v2" "this" {
  for_each = local.mounts

  namespace    = var.namespace
  mount        = vault_mount.this[each.key].path
  cas_required = true
  max_versions = each.value.max_versions
}

resource "vault_policy" "this" {
  for_each = local.policies

  namespace = var.namespace
  name      = "${var.mount}-${each.key}"
  policy    = each.value
}
