# get_key shows one record: beyond what authenticates its caller it needs nothing, and it writes nothing more.
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
