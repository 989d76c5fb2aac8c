# issue_key adds a record and its index entry: never update, so it can neither change nor overwrite a key that exists.
# Reading records, tombstones, pepper and roles is what authenticating a caller by its own key takes; its use is noted.

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

path "keyrail/data/usage/+/+" {
  capabilities = ["create", "read", "update"]
}

# read: an entry that is there already answers a create with 403, as a missing right does; only reading tells them apart
path "keyrail/data/tenants/+/+/+" {
  capabilities = ["create", "read"]
}

path "keyrail/data/due/+/+" {
  capabilities = ["create", "read"]
}

path "keyrail/data/outbox/+/+" {
  capabilities = ["create", "read"]
}
