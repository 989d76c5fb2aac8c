# The gRPC container offers every operation, so it may do what all functions together may, and no more; a consistency
# test holds the two equal. A container that only validates (KEYRAIL_GRPC_OPERATIONS=validate_key) runs under
# validate_key's identity instead, and needs none of this.

path "keyrail/data/due/+/+" {
  capabilities = ["create", "read"]
}

path "keyrail/data/feed/head" {
  capabilities = ["read", "update"]
}

path "keyrail/data/keys/+/+" {
  capabilities = ["create", "read", "update"]
}

path "keyrail/data/outbox/+/+" {
  capabilities = ["create", "read"]
}

path "keyrail/data/pepper" {
  capabilities = ["read"]
}

path "keyrail/data/rbac/roles" {
  capabilities = ["read"]
}

path "keyrail/data/revoked/+/+" {
  capabilities = ["create", "read"]
}

path "keyrail/data/tenants/+/+/+" {
  capabilities = ["create", "read"]
}

path "keyrail/data/usage/+/+" {
  capabilities = ["create", "read", "update"]
}

path "keyrail/metadata/due/*" {
  capabilities = ["list", "delete"]
}

path "keyrail/metadata/keys/" {
  capabilities = ["list"]
}

path "keyrail/metadata/keys/+/" {
  capabilities = ["list"]
}

path "keyrail/metadata/outbox/*" {
  capabilities = ["list", "delete"]
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

path "keyrail/metadata/tenants/+/+/+" {
  capabilities = ["delete"]
}

path "database/rotate-role/+" {
  capabilities = ["update"]
}

path "database/static-creds/+" {
  capabilities = ["read"]
}

path "database/static-roles/+" {
  capabilities = ["read"]
}

path "keyrail-config/data/*" {
  capabilities = ["create", "read", "update"]
}

path "keyrail-config/destroy/*" {
  capabilities = ["update"]
}

path "keyrail-config/metadata/*" {
  capabilities = ["list", "read"]
}

path "keyrail-delivery/data/*" {
  capabilities = ["create", "read", "update"]
}

# Its own server certificate, where Vault's PKI engine issues it (KEYRAIL_GRPC_PKI_ROLE=keyrail-grpc).

path "pki/issue/keyrail-grpc" {
  capabilities = ["update"]
}
