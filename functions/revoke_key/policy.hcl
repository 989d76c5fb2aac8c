# revoke_key lays a tombstone, once and for all (create alone), and says so in the feed; it can touch no digest.
# Reading records, tombstones, pepper and roles is what authenticating a caller by its own key takes; its use is noted.

path "keyrail/data/keys/+/+" {
  capabilities = ["read"]
}

path "keyrail/data/revoked/+/+" {
  capabilities = ["create", "read"]
}

path "keyrail/data/pepper" {
  capabilities = ["read"]
}

path "keyrail/data/rbac/roles" {
  capabilities = ["read"]
}

path "keyrail/data/feed/head" {
  capabilities = ["update", "read"]
}

path "keyrail/data/usage/+/+" {
  capabilities = ["create", "read", "update"]
}

path "keyrail/data/outbox/+/+" {
  capabilities = ["create", "read"]
}
