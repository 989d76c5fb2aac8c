# The sink that Keyrail delivers its key to.
path "keyrail-delivery/data/acme/inference" {
  capabilities = ["read"]
}

# A certificate of its own name, and whom to trust.
path "pki/issue/inference" {
  capabilities = ["update"]
}
path "pki/cert/ca" {
  capabilities = ["read"]
}
