variable "zip" {
  description = "The zip of rotate."
  type        = string
}

variable "architecture" {
  description = "Processor of this machine, as Lambda calls it."
  type        = string
}

variable "environment" {
  description = "Settings of rotate."
  type        = map(string)
}

variable "secret_name" {
  description = "Name of a secret that is there."
  type        = string
}
