# rotate changes a record that exists and says so in the feed; it can't make a key, and can't touch a tombstone.
# Reading records, tombstones, pepper and roles is what authenticating a caller by its own key takes; its use is noted.

path "keyrail/data/keys/+/+" {
  capabilities = ["update", "read"]
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
  capabilities = ["update", "read"]
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

path "keyrail/metadata/due/*" {
  capabilities = ["list", "delete"]
}

path "keyrail/metadata/outbox/*" {
  capabilities = ["list", "delete"]
}

# The sweep walks all records and configs, and removes index entries that have no record.

path "keyrail/metadata/keys/" {
  capabilities = ["list"]
}

path "keyrail/metadata/keys/+/" {
  capabilities = ["list"]
}

path "keyrail/metadata/tenants/" {
  capabilities = ["list"]
}

path "keyrail/metadata/tenants/+/" {
  capabilities = ["list"]
}

path "keyrail/metadata/tenants/+/+/" {
  capabilities = ["list"]
}

path "keyrail/data/tenants/+/+/+" {
  capabilities = ["read"]
}

path "keyrail/metadata/tenants/+/+/+" {
  capabilities = ["delete"]
}

path "keyrail-delivery/data/*" {
  capabilities = ["create", "read", "update"]
}

path "keyrail-config/data/*" {
  capabilities = ["read", "update"]
}

path "keyrail-config/metadata/*" {
  capabilities = ["list"]
}

path "database/static-roles/+" {
  capabilities = ["read"]
}

path "database/rotate-role/+" {
  capabilities = ["update"]
}
