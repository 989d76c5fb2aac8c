# validate_key decides from stored digests: it reads records, tombstones, the pepper and the roles, watches the feed, and notes when a key was used; it writes nothing else.

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
