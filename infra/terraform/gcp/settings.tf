# What each function finds in its environment. docs/settings.md says what each of them means.

locals {
  secret_id_folder = "/etc/keyrail/vault"
  vault_ca_folder  = "/etc/keyrail/vault-ca"

  # Of AppRole, in <function>.env: lines of NAME=value, none of which is secret
  identities = {
    for name in keys(local.with_secret_id) : name => {
      for line in compact(split("\n", file("${var.identities_dir}/${name}.env"))) :
      split("=", line)[0] => trimprefix(line, "${split("=", line)[0]}=")
    }
  }

  # Between two requests an instance has no CPU, and nobody can tell which one to ask for its metrics.
  of_platform = {
    KEYRAIL_FEED_POLL = "inline"
    KEYRAIL_METRICS   = "none"
    LOG_EXECUTION_ID  = "false" # else Google sets it, and each plan would show it
  }
  of_login = {
    for name in keys(local.functions) : name => var.vault_login == "approle" ? merge(
      local.identities[name],
      { KEYRAIL_VAULT_SECRET_ID_FILE = "${local.secret_id_folder}/secret-id" },
      ) : {
      KEYRAIL_VAULT_AUTH            = "google"
      KEYRAIL_VAULT_AUTH_MOUNT      = var.vault_auth_mount
      KEYRAIL_VAULT_ROLE            = "${lookup(var.settings, "KEYRAIL_VAULT_MOUNT", "keyrail")}-${name}"
      KEYRAIL_VAULT_GOOGLE_AUDIENCE = var.vault_address
    }
  }
  of_vault = merge(
    { VAULT_ADDR = var.vault_address },
    var.vault_ca_certificate == null ? {} : { VAULT_CACERT = "${local.vault_ca_folder}/ca.pem" },
  )
  of_ticks = {
    KEYRAIL_TICK_OIDC_ISSUER   = "https://accounts.google.com"
    KEYRAIL_TICK_OIDC_JWKS     = "https://www.googleapis.com/oauth2/v3/certs"
    KEYRAIL_TICK_OIDC_AUDIENCE = local.tick_audience
    KEYRAIL_TICK_OIDC_SUBJECT  = one(google_service_account.ticker[*].unique_id)
  }

  environment = {
    for name, each in local.functions : name => merge(
      local.of_platform,
      var.settings,
      local.of_login[name],
      local.of_vault,
      { THREADS = tostring(each.concurrency), OTEL_SERVICE_NAME = each.id },
      contains(values(local.jobs)[*].function, name) ? local.of_ticks : {},
    )
  }
}
