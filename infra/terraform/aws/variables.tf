variable "name" {
  description = "What the names of all resources begin with, and the name of the table."
  type        = string
  default     = "keyrail"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "name must be 3 to 31 lower-case letters, digits and -, and begin with a letter."
  }
}

variable "dist" {
  description = "Folder with the zips that `make dist` writes."
  type        = string

  validation {
    condition     = length(fileset(var.dist, "*-${var.architecture}.zip")) > 0
    error_message = "dist must be a folder with <function>-${var.architecture}.zip in it: `make dist` writes them."
  }
}

variable "architecture" {
  description = "Processor that the functions run on: `arm64` or `x86_64`."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "memory_mb" {
  description = "Memory of a function in MiB, where its function.yaml doesn't ask for more. Lambda gives CPU by memory: 1769 is one vCPU."
  type        = number
  default     = 1024

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "memory_mb must be a whole number from 128 to 10240."
  }
}

variable "snapstart" {
  description = "Whether functions start from a snapshot of a process that has imported everything; billed, and not in every region."
  type        = bool
  default     = false
}

variable "reserved_concurrency" {
  description = "Calls at a time, by function, that the account keeps for it and that it never goes beyond; others share what is left."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for function, calls in var.reserved_concurrency : contains(keys(local.functions), function) && calls >= 1])
    error_message = "reserved_concurrency must name functions of functions/, with at least 1 each."
  }
}

variable "layers" {
  description = "ARNs of layer versions, at most 5: for files that settings name, such as the CA of Vault's certificate."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.layers) <= 5 && alltrue([for arn in var.layers : can(regex("^arn:[^:]+:lambda:[^:]+:[0-9]{12}:layer:[^:]+:[0-9]+$", arn))])
    error_message = "layers must be at most 5 ARNs of layer versions."
  }
}

variable "store" {
  description = "Where keys, hints and the change feed are: `vault`, or `dynamodb` in a table that is made here. docs/aws.md says when to choose which."
  type        = string
  default     = "vault"

  validation {
    condition     = contains(["vault", "dynamodb"], var.store)
    error_message = "store must be vault or dynamodb."
  }
}

variable "vault" {
  description = "How functions reach Vault and log in there, each with the role <role_prefix><function>: `auth` is `aws`, by its IAM role, or `jwt`; `cacert` and `jwt_file` are paths in a layer. The rest is in docs/settings.md under longer names."
  type = object({
    address       = string
    auth          = optional(string, "aws")
    auth_mount    = optional(string)
    role_prefix   = optional(string, "keyrail-")
    mount         = optional(string)
    namespace     = optional(string)
    cacert        = optional(string)
    jwt_file      = optional(string)
    aws_server_id = optional(string)
    aws_region    = optional(string)
  })
  default = null

  validation {
    condition     = (var.vault == null) != (var.pepper == null)
    error_message = "Give vault, or pepper where there is no Vault: one of both."
  }
  validation {
    condition     = var.vault == null || can(regex("^https://[^\\s@]+$", var.vault.address)) || can(regex("^http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?$", var.vault.address))
    error_message = "vault.address must be an https address without user and password; http only on loopback."
  }
  validation {
    condition     = var.vault == null || contains(["aws", "jwt"], try(var.vault.auth, ""))
    error_message = "vault.auth must be aws or jwt: nothing secret is stored then."
  }
  validation {
    condition     = try(var.vault.auth, "aws") != "jwt" || try(var.vault.jwt_file, null) != null
    error_message = "vault.auth is jwt, so vault.jwt_file must say where the token is."
  }
}

variable "pepper" {
  description = "Where the pepper is if there is no Vault: in Secrets Manager's secret `secret_name`, or made by KMS with the HMAC key `key_arn`."
  type = object({
    secret_name = optional(string)
    key_arn     = optional(string)
  })
  default = null

  validation {
    condition     = var.pepper == null || (try(var.pepper.secret_name, null) == null) != (try(var.pepper.key_arn, null) == null)
    error_message = "pepper must have one of secret_name and key_arn."
  }
  validation {
    condition     = try(var.pepper.secret_name, null) == null || can(regex("^[a-zA-Z0-9/_+=.@-]{1,512}$", var.pepper.secret_name))
    error_message = "pepper.secret_name must be the name of a secret, no ARN."
  }
  validation {
    condition     = try(!startswith(var.pepper.secret_name, var.secrets_prefix), true)
    error_message = "pepper.secret_name must not begin with secrets_prefix: the function rotate may write what does."
  }
  validation {
    condition     = try(var.pepper.key_arn, null) == null || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/[^*]+$", var.pepper.key_arn))
    error_message = "pepper.key_arn must be the ARN of a key, not of an alias."
  }
  validation {
    condition     = var.pepper == null || var.store == "dynamodb"
    error_message = "pepper is for keys in DynamoDB: where store is vault, it is in Vault."
  }
}

variable "environment" {
  description = "More settings of docs/settings.md, for every function. They are in Terraform's state: no secret."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.environment), ["VAULT_TOKEN", "KEYRAIL_KEY"])) == 0
    error_message = "environment must hold no secret: log in to Vault by vault.auth."
  }
  validation {
    condition = length(setintersection(keys(var.environment), [
      "KEYRAIL_DYNAMODB_TABLE", "KEYRAIL_EVENT_ARN", "KEYRAIL_PEPPER", "KEYRAIL_PEPPER_SECRET", "KEYRAIL_SECRETS_PREFIX",
      "KEYRAIL_STORE", "KEYRAIL_VAULT_ROLE",
    ])) == 0
    error_message = "environment must leave to the other variables what they set: event_arn, pepper, secrets_prefix, store, vault."
  }
}

variable "vpc" {
  description = "Private subnets and security groups that the functions run in, where Vault is only to be reached from there. AWS is then reached through endpoints or NAT of yours."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null || try(length(var.vpc.subnet_ids) > 0 && length(var.vpc.security_group_ids) > 0, false)
    error_message = "vpc must name at least one subnet and one security group."
  }
}

variable "throttle" {
  description = "Requests a second that the API takes on average, and at once; others are 429."
  type = object({
    requests_per_second = number
    burst               = number
  })
  default = { requests_per_second = 1000, burst = 500 }

  validation {
    condition     = var.throttle.requests_per_second >= 1 && var.throttle.burst >= 1
    error_message = "throttle must let at least 1 request through: with 0 the API answers nobody."
  }
}

variable "schedules" {
  description = "When the clock calls an operation, where it shall not be as in function.yaml: `rate(...)` or `cron(...)` of EventBridge, in UTC, by operation."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for operation, expression in var.schedules :
      try(local.routes[operation].schedule, null) != null && can(regex("^(rate|cron)\\(.+\\)$", expression))
    ])
    error_message = "schedules must be rate(...) or cron(...) for operations that have a schedule in function.yaml."
  }
}

variable "secrets_prefix" {
  description = "What names of `secretsmanager:` sinks begin with in AWS, with `/` at its end; without it there are none."
  type        = string
  default     = null

  validation {
    condition     = var.secrets_prefix == null || can(regex("^[a-zA-Z0-9_+=.@-]+(/[a-zA-Z0-9_+=.@-]+)*/$", var.secrets_prefix))
    error_message = "secrets_prefix must be names that each end in /."
  }
}

variable "rotated_secrets" {
  description = "Secrets that Secrets Manager rotates through Keyrail, under names of your choice: ARN of the secret, and days between rotations."
  type = map(object({
    arn  = string
    days = number
  }))
  default = {}

  validation {
    condition = alltrue([
      for secret in values(var.rotated_secrets) : can(regex("^arn:[^:]+:secretsmanager:[^:]+:[0-9]{12}:secret:[^*?]+$", secret.arn))
    ])
    error_message = "rotated_secrets must hold whole ARNs of secrets."
  }
  validation {
    condition = alltrue([
      for secret in values(var.rotated_secrets) : try(startswith(split(":secret:", secret.arn)[1], var.secrets_prefix), false)
    ])
    error_message = "rotated_secrets must have names that begin with secrets_prefix: they are sinks of keys."
  }
  validation {
    condition = alltrue([
      for secret in values(var.rotated_secrets) : secret.days >= 1 && secret.days <= 1000 && floor(secret.days) == secret.days
    ])
    error_message = "rotated_secrets must hold whole days from 1 to 1000."
  }
}

variable "event_arn" {
  description = "SNS topic or EventBridge bus that lifecycle events go to; without it there are none, unless `environment` has `K_SINK`."
  type        = string
  default     = null

  validation {
    condition     = var.event_arn == null || can(regex("^arn:[^:]+:(sns:[^:]+:[0-9]{12}:[^:/*]+|events:[^:]+:[0-9]{12}:event-bus/[^*]+)$", var.event_arn))
    error_message = "event_arn must be the ARN of an SNS topic or of an event bus."
  }
}

variable "table_kms_key_arn" {
  description = "KMS key of your own that the table is encrypted with, instead of the account's `aws/dynamodb`."
  type        = string
  default     = null

  validation {
    condition     = var.table_kms_key_arn == null || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/[^*]+$", var.table_kms_key_arn))
    error_message = "table_kms_key_arn must be the ARN of a key, not of an alias."
  }
}

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted. False only where the keys in it may be lost."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "Days that log lines are kept: one of the numbers that CloudWatch Logs takes."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "alarm_topic_arns" {
  description = "SNS topics that alarms are sent to; without one there are no alarms."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:[^:/*]+$", arn))])
    error_message = "alarm_topic_arns must be ARNs of SNS topics."
  }
}
