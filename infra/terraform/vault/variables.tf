variable "functions_dir" {
  type        = string
  description = "Folder with a folder for each function, whose policy.hcl is its policy; by default this repository's."
  default     = null
}

variable "containers_dir" {
  type        = string
  description = "The same for containers, such as this repository's containers/: a policy and roles for the gRPC container, too."
  default     = null
}

variable "mount" {
  type        = string
  description = "The KV version 2 mount of keys (KEYRAIL_VAULT_MOUNT). Policies and roles are called <mount>-<function>."
  default     = "keyrail"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,62}$", var.mount))
    error_message = "A mount's name is 1 to 63 lower-case letters, digits and hyphens, and begins with no hyphen."
  }
}

variable "config_mount" {
  type        = string
  description = "The KV version 2 mount of configs (KEYRAIL_CONFIG_MOUNT)."
  default     = "keyrail-config"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,62}$", var.config_mount))
    error_message = "A mount's name is 1 to 63 lower-case letters, digits and hyphens, and begins with no hyphen."
  }
}

variable "delivery_mount" {
  type        = string
  description = "The KV version 2 mount of vault: sinks (KEYRAIL_DELIVERY_MOUNT)."
  default     = "keyrail-delivery"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,62}$", var.delivery_mount))
    error_message = "A mount's name is 1 to 63 lower-case letters, digits and hyphens, and begins with no hyphen."
  }

  validation {
    condition     = length(distinct([var.mount, var.config_mount, var.delivery_mount])) == 3
    error_message = "mount, config_mount and delivery_mount are three mounts."
  }
}

variable "database_mount" {
  type        = string
  description = "Where your database engine is mounted (KEYRAIL_DATABASE_MOUNT); policies name it, nothing here makes it."
  default     = "database"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,62}$", var.database_mount))
    error_message = "A mount's name is 1 to 63 lower-case letters, digits and hyphens, and begins with no hyphen."
  }
}

variable "pki_mount" {
  type        = string
  description = "Where your PKI engine is mounted (KEYRAIL_GRPC_PKI_MOUNT); the gRPC container's policy names it."
  default     = "pki"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,62}$", var.pki_mount))
    error_message = "A mount's name is 1 to 63 lower-case letters, digits and hyphens, and begins with no hyphen."
  }
}

variable "namespace" {
  type        = string
  description = "Vault's namespace, for editions that have them (VAULT_NAMESPACE); it must exist."
  default     = null
}

variable "token_ttl_seconds" {
  type        = number
  description = "Seconds that a function's token lives. Batch tokens can't be revoked: the longest that a stolen one works."
  default     = 900

  validation {
    condition     = var.token_ttl_seconds >= 60 && var.token_ttl_seconds <= 3600
    error_message = "token_ttl_seconds is 60 to 3600."
  }
}

variable "token_bound_cidrs" {
  type        = list(string)
  description = "Networks that functions call Vault from, such as a NAT gateway's address; any, where empty."
  default     = []

  validation {
    condition     = alltrue([for each in var.token_bound_cidrs : can(cidrhost(each, 0))])
    error_message = "token_bound_cidrs are networks such as 192.0.2.7/32."
  }
}

variable "approle" {
  type = object({
    path            = optional(string, "approle")
    create_backend  = optional(bool, true)
    secret_id_cidrs = optional(list(string), [])
  })
  description = "AppRole, one role a function; null makes none, `keyrail bootstrap` then does. secret_id_cidrs: from where a secret id is taken."
  default     = {}
}

variable "kubernetes" {
  type = object({
    path            = optional(string, "kubernetes")
    create_backend  = optional(bool, true)
    host            = optional(string, "https://kubernetes.default.svc")
    ca_certificate  = optional(string)
    namespace       = optional(string, "keyrail")
    audience        = optional(string, "vault")
    service_account = optional(map(string), {})
  })
  description = "Login of pods by their service account: the function's name with - for _, unless service_account says another. ca_certificate (PEM) for a Vault outside the cluster."
  default     = null
}

variable "aws" {
  type = object({
    path           = optional(string, "aws")
    create_backend = optional(bool, true)
    server_id      = string
    principal_arns = map(list(string))
    resolve_ids    = optional(bool, false)
  })
  description = "Login by AWS IAM: ARNs of the roles that each function runs as. server_id: what KEYRAIL_VAULT_AWS_SERVER_ID says, so that a login shown to another Vault is worth nothing here. resolve_ids binds to the role's id rather than its name, for which Vault needs iam:GetRole."
  default     = null

  validation {
    condition = var.aws == null ? true : alltrue([
      for arn in flatten(values(var.aws.principal_arns)) : can(regex("^arn:[a-z-]+:(iam|sts)::[0-9]{12}:[a-z-]+/[^*]+$", arn))
    ])
    error_message = "principal_arns are whole ARNs of roles, without *."
  }
}

variable "jwt" {
  type = object({
    path           = optional(string, "jwt")
    create_backend = optional(bool, true)
    discovery_url  = optional(string)
    jwks_url       = optional(string)
    issuer         = string
    audiences      = list(string)
    user_claim     = optional(string, "sub")
    bound_claims   = map(map(string))
  })
  description = "Login by a signed token (OIDC), such as Google's of a service account: what its claims must say, by function. Give discovery_url or jwks_url."
  default     = null

  validation {
    condition     = var.jwt == null ? true : (var.jwt.discovery_url == null) != (var.jwt.jwks_url == null)
    error_message = "jwt needs one of discovery_url and jwks_url."
  }

  validation {
    condition     = var.jwt == null ? true : length(var.jwt.audiences) > 0 && alltrue([for claims in values(var.jwt.bound_claims) : length(claims) > 0])
    error_message = "jwt needs an audience, and a claim for each function: without one, any token of the issuer would do."
  }
}
