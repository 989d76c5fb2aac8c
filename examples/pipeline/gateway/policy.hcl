# A certificate of its own name, and whom to trust.
path "pki/issue/gateway" {
  capabilities = ["update"]
}
path "pki/cert/ca" {
  capabilities = ["read"]
}
