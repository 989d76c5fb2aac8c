# issue_key adds a record and its index entry: create alone, so it can neither change nor overwrite a key that exists.
# Reading records, tombstones, pepper and roles is what authenticating a caller by its own key takes.

path "keyrail/data/keys/+/+" {
  capabilities = ["create", "read"]
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

path "keyrail/data/tenants/+/+/+" {
  capabilities = ["create"]
}
