variable "project_id" {
  type        = string
  description = "The Google Cloud project, which exists and has the APIs of docs/deploy/gcp.md enabled."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id is a project's id, not its number or name."
  }
}

variable "region" {
  type        = string
  description = "Region of everything, such as europe-west1: one that has Cloud Run functions and Cloud Scheduler, near your Vault."

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is a region such as europe-west1, not a zone."
  }
}

variable "name" {
  type        = string
  description = "What all names begin with. The function validate_key is then <name>-validate-key."
  default     = "keyrail"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,15}[a-z0-9]$", var.name))
    error_message = "name is 2 to 17 lower-case letters, digits and hyphens, and begins with a letter: a service account's id has 30."
  }
}

variable "functions" {
  type        = set(string)
  description = "The functions to deploy, such as [\"validate_key\"]; all, where null."
  default     = null

  validation {
    condition     = var.functions == null ? true : length(var.functions) > 0
    error_message = "functions names at least one, or is null for all."
  }
}

variable "functions_dir" {
  type        = string
  description = "Folder with a function.yaml for each function; by default this repository's."
  default     = null
}

variable "dist_dir" {
  type        = string
  description = "Where `make dist` wrote the sources, a folder each; archives of them are written there, too. By default this repository's dist/."
  default     = null
}

variable "vault_address" {
  type        = string
  description = "VAULT_ADDR: where the functions reach your Vault or OpenBao."

  validation {
    condition     = can(regex("^https://[^\\s/@]+(/\\S*)?$", var.vault_address))
    error_message = "vault_address begins with https://, and holds no password."
  }
}

variable "vault_ca_certificate" {
  type        = string
  description = "The CA of Vault's certificate in PEM, where it is not a public one. Mounted as a file (VAULT_CACERT)."
  default     = null

  validation {
    condition     = var.vault_ca_certificate == null ? true : startswith(var.vault_ca_certificate, "-----BEGIN CERTIFICATE-----")
    error_message = "vault_ca_certificate is a certificate in PEM."
  }
}

variable "vault_login" {
  type        = string
  description = "google: by the token of its service account, which Vault's JWT method takes, so that no secret lies anywhere. approle: by a secret id from identities_dir, kept in Secret Manager."
  default     = "google"

  validation {
    condition     = contains(["google", "approle"], var.vault_login)
    error_message = "vault_login is google or approle."
  }
}

variable "vault_auth_mount" {
  type        = string
  description = "Where Vault's JWT method is mounted, for google. For approle identities_dir says it."
  default     = "jwt"
}

variable "identities_dir" {
  type        = string
  description = "For approle: where `keyrail bootstrap --identities` wrote <function>.env and <function>.secret-id. Secret ids go to Secret Manager, and neither into the state nor into a plan."
  default     = null

  validation {
    condition     = (var.identities_dir != null) == (var.vault_login == "approle")
    error_message = "identities_dir goes with vault_login = \"approle\"."
  }
}

variable "identities_version" {
  type        = number
  description = "Count it up after new secret ids were written to identities_dir, so that they are stored anew: Terraform can't compare what it does not keep."
  default     = 1

  validation {
    condition     = var.identities_version >= 1 && floor(var.identities_version) == var.identities_version
    error_message = "identities_version is a whole number from 1."
  }
}

variable "settings" {
  type        = map(string)
  description = "More settings for all functions (docs/settings.md), such as KEYRAIL_ENVIRONMENT. No secrets: they would lie in the state."
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.settings), ["VAULT_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"])) == 0
    error_message = "Secrets don't belong into settings: they would lie in the state, and in the description of each function."
  }
}

variable "public_functions" {
  type        = set(string)
  description = "Functions that anybody may call; Keyrail itself then decides by the caller's key. `rotate` must be one for the clock to work: Cloud Run takes the signature off a token that it checks itself."
}

variable "invokers" {
  type        = map(set(string))
  description = "Who may call a function that is not public: members of IAM by function, such as { validate_key = [\"serviceAccount:gateway@...\"] }. They show Google's token in X-Serverless-Authorization, and their key as ever."
  default     = {}

  validation {
    condition     = length(setintersection(flatten([for members in values(var.invokers) : tolist(members)]), ["allUsers", "allAuthenticatedUsers"])) == 0
    error_message = "Who is open to everybody is named in public_functions, not here."
  }
}

variable "domain" {
  type        = string
  description = "A name of yours, such as keys.example.com, at which a load balancer offers all operations; its functions must be public. Point the name at the output `address`; Google then makes the certificate. Without it each function has an address of its own."
  default     = null

  validation {
    condition     = var.domain == null ? true : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain is a name such as keys.example.com, without https://."
  }

  validation {
    condition     = var.domain == null || var.ingress != "ALLOW_INTERNAL_ONLY"
    error_message = "A load balancer reaches functions with ingress ALLOW_INTERNAL_AND_GCLB or ALLOW_ALL."
  }
}

variable "ingress" {
  type        = string
  description = "From where functions can be reached: ALLOW_ALL, ALLOW_INTERNAL_ONLY (the project's networks and Cloud Scheduler) or ALLOW_INTERNAL_AND_GCLB (and a load balancer)."
  default     = "ALLOW_ALL"

  validation {
    condition     = contains(["ALLOW_ALL", "ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB"], var.ingress)
    error_message = "ingress is ALLOW_ALL, ALLOW_INTERNAL_ONLY or ALLOW_INTERNAL_AND_GCLB."
  }
}

variable "vpc_connector" {
  type        = string
  description = "A Serverless VPC Access connector in this region, for a Vault at a private address: projects/.../connectors/<name>."
  default     = null
}

variable "min_instances" {
  type        = map(number)
  description = "Instances to keep warm, by function, in place of what function.yaml says. Each is billed while it idles."
  default     = {}

  validation {
    condition     = alltrue([for count in values(var.min_instances) : count >= 0])
    error_message = "min_instances are not negative."
  }
}

variable "max_instances" {
  type        = number
  description = "The most instances of each function: what bounds the bill, and the load on Vault."
  default     = 10

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000
    error_message = "max_instances is 1 to 1000."
  }
}

variable "runtime" {
  type        = string
  description = "The Python that runs functions: 3.11 or newer."
  default     = "python313"

  validation {
    condition     = can(regex("^python3(1[1-9])$", var.runtime))
    error_message = "runtime is python311 or newer."
  }
}

variable "clock" {
  type        = bool
  description = "Whether Cloud Scheduler calls what function.yaml has a schedule for: rotations that are due, and the nightly sweep."
  default     = true
}

variable "alert_channels" {
  type        = list(string)
  description = "Notification channels that hear of a tick that failed: projects/.../notificationChannels/<id>; no alert, where empty."
  default     = []
}

variable "labels" {
  type        = map(string)
  description = "Labels of everything that takes some."
  default     = {}
}
