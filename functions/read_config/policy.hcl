# read_config reads configs, which versions of them there are, and the live credentials of static roles; it writes nothing more.
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

path "keyrail-config/data/*" {
  capabilities = ["read"]
}

path "keyrail-config/metadata/*" {
  capabilities = ["read"]
}

path "database/static-creds/+" {
  capabilities = ["read"]
}
