# The sink that Keyrail delivers its key to.
path "keyrail-delivery/data/acme/inference" {
  capabilities = ["read"]
}

# A certificate of its own name.
path "pki/issue/inference" {
  capabilities = ["update"]
}
