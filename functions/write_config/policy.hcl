# write_config writes configs and destroys versions of them; it can't list them, and reads no live credentials.
# Reading records, tombstones, pepper and roles is what authenticating a caller by its own key takes; its use is noted.

path "keyrail/data/keys/+/+" {
  capabilities = ["read"]
}

path "keyrail/data/revoked/+/+" {
  capabilities = ["read"]
}

path "keyrail/data/pepper" {
  capabilities = ["read"]
}

path "keyrail/data/rbac/roles" {
  capabilities = ["read"]
}

path "keyrail/data/feed/head" {
  capabilities = ["read"]
}

path "keyrail/data/usage/+/+" {
  capabilities = ["create", "read", "update"]
}

path "keyrail/data/due/+/+" {
  capabilities = ["create", "read"]
}

path "keyrail/data/outbox/+/+" {
  capabilities = ["create", "read"]
}

path "keyrail-config/data/*" {
  capabilities = ["create", "read", "update"]
}

path "keyrail-config/destroy/*" {
  capabilities = ["update"]
}
