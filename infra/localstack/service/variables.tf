variable "dist" {
  description = "Folder with the zips that `make dist` writes."
  type        = string
}

variable "architecture" {
  description = "Processor of this machine, as Lambda calls it."
  type        = string
}

variable "model" {
  description = "Zip of model.py."
  type        = string
}

variable "vault_address" {
  description = "Where OpenBao is on this machine; without it there is no Vault, and KMS makes the pepper."
  type        = string
  default     = null
}

variable "jwt_file" {
  description = "File with the token that the functions log in to OpenBao with."
  type        = string
  default     = null
}
