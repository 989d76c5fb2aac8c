# A certificate of its own name, and nothing else in Vault.
path "pki/issue/gateway" {
  capabilities = ["update"]
}
