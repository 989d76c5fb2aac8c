# The sink that Keyrail delivers its key to.
path "keyrail-delivery/data/acme/client" {
  capabilities = ["read"]
}
